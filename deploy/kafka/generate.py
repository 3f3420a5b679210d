"""Writes `topics.yaml` from the declared topics: `python -m deploy.kafka.generate`.

The file is for tools that do not speak Python (operators, reviews, `kafka-topics.sh`); the code never reads it.
"""

from pathlib import Path

from shared.contracts.topics import TOPICS, Topic, physical_topics

FILE = Path(__file__).with_name("topics.yaml")
_HEADER = """\
# Generated from shared/contracts/topics.py by `python -m deploy.kafka.generate`. Do not edit.
# Names are logical: a topic prefix, where one is set, goes in front. Replication is the cluster's business.
"""


def render() -> str:
    """Returns the file's text: every topic, dead-letter topics included, in the order of declaration."""
    declared = {topic.name for topic in TOPICS}
    lines = [_HEADER, "topics:\n"]
    for name, topic in sorted(physical_topics().items(), key=lambda item: _place(item[0], item[1])):
        lines.append(_topic(name, topic) if name in declared else _dead_letters(name, topic))
    return "".join(lines)


def _place(name: str, topic: Topic) -> tuple[int, bool]:
    return TOPICS.index(topic), name != topic.name


def _topic(name: str, topic: Topic) -> str:
    value = getattr(topic.value, "__name__", str(topic.value))
    return (
        f"  - name: {name}\n"
        f"    description: {_quoted(topic.doc)}\n"
        f"    key: {_quoted(topic.key)}\n"
        f"    value: {value}\n"
        f"    producers: [{', '.join(topic.producers)}]\n"
        f"    consumers: [{', '.join(topic.consumers)}]\n"
    ) + _settings(topic)


def _dead_letters(name: str, topic: Topic) -> str:
    return (
        f"  - name: {name}\n"
        f"    description: {_quoted(f'Records of {topic.name} that can never be processed, raw, with the reason.')}\n"
        f"    key: {_quoted('as in ' + topic.name)}\n"
        f"    value: bytes\n"
        f"    dead_letters_of: {topic.name}\n"
    ) + _settings(topic)


def _settings(topic: Topic) -> str:
    config = "".join(f"      {key}: {_quoted(value)}\n" for key, value in sorted(topic.config.items()))
    return f"    partitions: {topic.partitions}\n    config:\n{config}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
    print(f"wrote {FILE.name}")
