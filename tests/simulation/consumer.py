"""A member of the stage's group as aiokafka shows it: fetches ahead, loses all its partitions in a rebalance, and gets
new ones with the positions that were committed, before anybody is told of them."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from shared.adapters.kafka import IllegalStateError, KafkaError, TopicPartition
from tests.simulation.broker import Stored

if TYPE_CHECKING:
    from tests.simulation.feed_host import FeedHost


_PARKED_S = 0.2


class _Place:
    """One assigned partition: what was fetched of it and waits, and what the last answer said of the log's end."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.fetched: list[Stored] = []
        self.end: int | None = None
        self.asked = 0
        self.answered_ms: int | None = None


class SimConsumer:
    """What `StageFeed` uses of `AIOKafkaConsumer`. Rebalances are eager, as aiokafka's are."""

    def __init__(self, host: "FeedHost") -> None:
        self._host = host
        self._world = host.world
        self._topic = host.world.stage.source.name
        self._places: dict[TopicPartition, _Place] = {}
        self._parked: dict[TopicPartition, tuple[_Place, int]] = {}
        self._paused: set[TopicPartition] = set()
        self._listener: Any = None
        self._settled = asyncio.Event()
        self._settled.set()
        self._waiting: asyncio.Future[bool] | None = None
        # On the stream clock nothing depends on how often a poll finds nothing.
        self._patience = 1 if host.world.plan.wall else 10
        self._stopped = False

    def subscribe(self, topics: Sequence[str], listener: Any) -> None:
        assert [self._topic] == list(topics)
        self._listener = listener

    async def start(self) -> None:
        await self._network()

    async def stop(self) -> None:
        self._stopped = True
        self._wake(self._waiting, False)
        self._places.clear()

    async def rebalance(self, partitions: Iterable[int]) -> None:
        """Gives up everything, then takes `partitions`: both told to the listener while polls go on or wait."""
        self._settled.clear()
        await self._listener.on_partitions_revoked(self.assignment())
        await self._network()  # join and sync
        if self._stopped:
            return
        self._parked.clear()
        self._paused.clear()
        committed, starts = self._world.broker.committed, self._world.broker.starts
        places = {partition: (self._topic, partition) for partition in partitions}
        self._places = {
            TopicPartition(*place): _Place(committed.get(place, starts[place])) for place in places.values()
        }
        self._settled.set()
        for tp, place in self._places.items():
            self._ask(tp, place)
        await self._listener.on_partitions_assigned(self.assignment())

    def assignment(self) -> Set[TopicPartition]:
        return dict.fromkeys(self._places).keys()  # in an order that is the same in every process

    def pause(self, *partitions: TopicPartition) -> None:
        self._paused.update(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self._paused.difference_update(partitions)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Goes on at `offset`; what was fetched of the partition is thrown away."""
        place = self._place(tp)
        place.position = offset
        place.fetched.clear()
        self._world.claimed(tp.partition, offset)
        self._ask(tp, place)

    def highwater(self, tp: TopicPartition) -> int | None:
        assert tp in self._places, f"{tp} is not assigned"
        return self._places[tp].end

    def last_poll_timestamp(self, tp: TopicPartition) -> int | None:
        assert tp in self._places, f"{tp} is not assigned"
        return self._places[tp].answered_ms

    async def position(self, tp: TopicPartition) -> int:
        await self._network()
        return self._place(tp).position

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        await self._network()
        return {tp: self._world.broker.starts[self._topic, tp.partition] for tp in partitions}

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        await self._network()
        return {tp: self._world.broker.end(self._topic, tp.partition) for tp in partitions}

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commits while this process is the group's member for all of them."""
        await self._network()
        for tp in offsets:
            self._place(tp)
            if self._world.owners[tp.partition] is not self._host:
                self._world.note("commit refused")
                raise KafkaError(f"{tp} belongs to another member")
        for tp, offset in offsets.items():
            self._world.broker.committed[self._topic, tp.partition] = offset

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int | None = None
    ) -> dict[TopicPartition, list[Stored]]:
        """Returns what was fetched, or waits for it; during a rebalance, for its end."""
        left_s = timeout_ms / 1000
        while True:
            if not self._settled.is_set():
                self._world.note("poll met a rebalance")
                await self._settled.wait()
            drained = self._drained(partitions or tuple(self._places), max_records or 500)
            if drained or left_s <= 0 or self._stopped:
                return drained
            began = self._world.loop.time()
            self._waiting = self._world.loop.create_future()
            self._world.loop.call_later(left_s * self._patience, self._wake, self._waiting, False)
            if not await self._waiting:
                return {}
            left_s -= self._world.loop.time() - began

    def _drained(self, partitions: Iterable[TopicPartition], rows_max: int) -> dict[TopicPartition, list[Stored]]:
        found: dict[TopicPartition, list[Stored]] = {}
        for tp in partitions:
            place = self._places.get(tp)
            if place is None or not place.fetched or tp in self._paused or rows_max == 0:
                continue
            rows = min(rows_max, self._world.plan.fetch_rows)
            found[tp], place.fetched = place.fetched[:rows], place.fetched[rows:]
            rows_max -= len(found[tp])
            place.position = found[tp][-1].offset + 1
            if self._again(tp, place):
                found[tp] += place.fetched
                place.position = found[tp][-1].offset + 1
                place.fetched = []
            if not place.fetched:
                self._ask(tp, place)
        return found

    def _again(self, tp: TopicPartition, place: _Place) -> bool:
        """Lets some of what was just read come once more, if that is to be: at once (True) or with the next fetch."""
        if self._host.distortion is None or self._host.distortion[0] != "redeliver":
            return False
        dice, start = self._host.distortion[1], self._world.broker.starts[self._topic, tp.partition]
        if place.position - 1 <= start:
            return False
        self._host.distortion = None
        self._world.note("records delivered again")
        place.position = int(dice * place.position)
        place.fetched = []
        if dice < 0.5:
            place.fetched += self._world.broker.read(self._topic, tp.partition, place.position, 100)
        return bool(place.fetched)

    def _ask(self, tp: TopicPartition, place: _Place) -> None:
        """Sends a fetch; the answer to an older one counts no more."""
        place.asked += 1
        self._world.later(self._world.delay_s(), self._asked, tp, place, place.asked)

    def _asked(self, tp: TopicPartition, place: _Place, number: int) -> None:
        """The broker answers a fetch at once, or when there is something."""
        if number != place.asked:
            return
        if place.end is not None and place.position >= self._world.broker.end(self._topic, tp.partition):
            self._parked[tp] = place, number
            if self._world.plan.wall:  # otherwise nobody asks when it was answered
                self._world.later(_PARKED_S, self._unpark, tp, place, number)
        else:
            self._answer(tp, place, number)

    def _unpark(self, tp: TopicPartition, place: _Place, number: int) -> None:
        """Nothing came: the answer says so."""
        if self._parked.get(tp) == (place, number):
            del self._parked[tp]
            self._answer(tp, place, number)

    def appended(self, topic: str, partition: int) -> None:
        """A fetch that waits at the broker is answered."""
        parked = self._parked.pop(TopicPartition(topic, partition), None)
        if parked is not None:
            self._answer(TopicPartition(topic, partition), *parked)

    def _answer(self, tp: TopicPartition, place: _Place, number: int) -> None:
        broker = self._world.broker
        records = list(broker.read(self._topic, tp.partition, place.position, 2 * self._world.plan.fetch_rows))
        end = broker.end(self._topic, tp.partition)
        delay_s, distortion = self._world.delay_s(), self._host.distortion
        if distortion is not None and distortion[0] == "skip" and len(records) > 1:
            del records[int(distortion[1] * (len(records) - 1))]
            self._host.distortion = None
        elif distortion is not None and distortion[0] == "slow fetch" and records:
            delay_s += 2 * distortion[1]
            self._host.distortion = None
            self._world.note("fetch answered late")
        # The process's own callback: while it is paused the answer waits in its socket.
        self._world.loop.call_later(
            delay_s, self._answered, tp, place, number, records, end, context=self._host.context
        )

    def _answered(self, tp: TopicPartition, place: _Place, number: int, records: list[Stored], end: int) -> None:
        if self._places.get(tp) is not place or number != place.asked:
            return
        place.end, place.answered_ms = end, self._world.clock.now() // 1000
        if records:
            place.fetched += records
            self._wake(self._waiting, True)
        else:
            self._ask(tp, place)

    @staticmethod
    def _wake(waiting: "asyncio.Future[bool] | None", found: bool) -> None:
        if waiting is not None and not waiting.done():
            waiting.set_result(found)

    def _place(self, tp: TopicPartition) -> _Place:
        if tp not in self._places:
            raise IllegalStateError(f"{tp} is not assigned")
        return self._places[tp]

    async def _network(self) -> None:
        await asyncio.sleep(self._world.delay_s())
