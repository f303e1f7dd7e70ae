"""The environment is checked once and completely."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.env import BadEnvironment, read_env_file, read_environment, web_threads

NEW_KEY, OLD_KEY = "n" * 32, "o" * 43
GOOD = {
    "SECRET_KEY": "s" * 40,
    "FIELD_KEYS": f"{NEW_KEY}, {OLD_KEY}",
    "LOOKUP_KEY": "l" * 40,
    "DATABASE_URL": "postgres://app:p%40ss@db.example:6000/imaging",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "OBJECT_STORE_URL": "file:///srv/objects",
}


def test_a_complete_environment_is_read_into_types(tmp_path: Path) -> None:
    environment = read_environment(GOOD, root=tmp_path)

    assert environment.field_keys == (NEW_KEY, OLD_KEY)
    assert environment.database.password == "p@ss"
    assert (environment.database.host, environment.database.port) == ("db.example", 6000)
    assert environment.data_dir == tmp_path / "var"
    assert not environment.demo


def test_every_missing_and_malformed_setting_is_named_at_once(tmp_path: Path) -> None:
    bad = {
        **GOOD,
        "DATABASE_URL": "mysql://db/imaging",
        "REDIS_URL": "",
        "WEB_THREADS": "many",
        "HOSPITAL_NETWORKS": "10.0.0.0/99",
        "HOSPITAL_FOLDERS": "/srv/a,b",
    }
    del bad["SECRET_KEY"]

    with pytest.raises(BadEnvironment) as caught:
        read_environment(bad, root=tmp_path)

    text = str(caught.value)
    for name in (
        "SECRET_KEY",
        "DATABASE_URL",
        "REDIS_URL",
        "WEB_THREADS",
        "HOSPITAL_NETWORKS",
        "HOSPITAL_FOLDERS",
    ):
        assert f"- {name}:" in text
    for name in ("FIELD_KEYS", "LOOKUP_KEY", "OBJECT_STORE_URL"):
        assert name not in text


def test_a_refused_secret_is_not_repeated_in_the_message(tmp_path: Path) -> None:
    with pytest.raises(BadEnvironment) as caught:
        read_environment({**GOOD, "SECRET_KEY": "tooshort-tooshort"}, root=tmp_path)

    assert "SECRET_KEY" in str(caught.value)
    assert "tooshort" not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        pytest.param(f"{NEW_KEY},secret-old-key", "key 2 is shorter than 32 characters", id="one"),
        pytest.param("secret-old-key", "key 1 is shorter than 32 characters", id="only"),
        pytest.param(" , ", "no key", id="none"),
        pytest.param("", "missing", id="empty"),
    ],
)
def test_each_key_that_encrypts_is_long_and_a_short_one_is_not_repeated(
    tmp_path: Path, keys: str, said: str
) -> None:
    with pytest.raises(BadEnvironment, match=f"- FIELD_KEYS: {said}") as caught:
        read_environment({**GOOD, "FIELD_KEYS": keys}, root=tmp_path)

    assert "at least 32 random characters each" in str(caught.value)
    assert "secret-old-key" not in str(caught.value)


def test_the_threads_of_the_web_server_may_come_from_a_file_too(tmp_path: Path) -> None:
    file = tmp_path / "threads"
    file.write_text("24\n", encoding="utf-8")
    named = {"WEB_THREADS_FILE": str(file)}

    assert (
        web_threads(named) == read_environment({**GOOD, **named}, root=tmp_path).web_threads == 24
    )
    assert web_threads({}) == 16


@pytest.mark.parametrize("value", ["many", "0", "-4"])
def test_no_number_of_threads_is_a_sentence(value: str) -> None:
    with pytest.raises(BadEnvironment, match=r"- WEB_THREADS: .*expected a number of threads"):
        web_threads({"WEB_THREADS": value})


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("f" * 40 + "\n", encoding="utf-8")
    environ = {name: value for name, value in GOOD.items() if name != "SECRET_KEY"}

    environment = read_environment({**environ, "SECRET_KEY_FILE": str(file)}, root=tmp_path)

    assert environment.secret_key == "f" * 40


def test_an_unreadable_secret_file_is_named(tmp_path: Path) -> None:
    environ = {name: value for name, value in GOOD.items() if name != "SECRET_KEY"}

    with pytest.raises(BadEnvironment, match=r"SECRET_KEY_FILE: cannot be read"):
        read_environment({**environ, "SECRET_KEY_FILE": str(tmp_path / "absent")}, root=tmp_path)


def test_the_services_of_up_are_found_through_the_data_directory(tmp_path: Path) -> None:
    lines = [f"{name}={value}" for name, value in GOOD.items()]
    (tmp_path / "env").write_text("# comment\n" + "\n".join(lines) + "\n", encoding="utf-8")

    environment = read_environment({"IMAGING_DATA_DIR": str(tmp_path)}, root=Path("/nowhere"))

    assert environment.redis_url == GOOD["REDIS_URL"]


def test_the_environment_goes_before_the_file_of_up(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("REDIS_URL=redis://127.0.0.1:1/0\n", encoding="utf-8")

    environment = read_environment({**GOOD, "IMAGING_DATA_DIR": str(tmp_path)}, root=tmp_path)

    assert environment.redis_url == GOOD["REDIS_URL"]


def test_no_file_of_up_is_no_settings(tmp_path: Path) -> None:
    assert read_env_file(tmp_path / "env") == {}
