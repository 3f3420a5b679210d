"""What is logged at start holds no password."""

from services.model_registry.settings import Settings


def test_a_password_inside_an_address_is_masked() -> None:
    settings = Settings(database_url="postgresql+asyncpg://registry:s3cret@db:5432/registry")

    assert settings.masked()["database_url"] == "postgresql+asyncpg://registry:***@db:5432/registry"


def test_an_address_without_a_password_is_shown_whole() -> None:
    settings = Settings(database_url="sqlite+aiosqlite:///data/registry.db")

    assert settings.masked()["database_url"] == "sqlite+aiosqlite:///data/registry.db"
