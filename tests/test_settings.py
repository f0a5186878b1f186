"""The operator's side: every key, every way to get one wrong, and which base URL wins."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from wanrun.errors import ExitCode, SettingsError
from wanrun.money import Money
from wanrun.settings import BASE_URL_VARIABLE, Allow, Budget, Limits, Provider, Settings, load_settings, project_root

EVERY_KEY = """\
[providers.default]
region = "beijing"
workspace = "ws-123"
api_key_env = "OTHER_KEY"
poll_seconds = 7.5
patience_seconds = 60
settle_seconds = 90
scan_gap_seconds = 45
link_networks = ["198.18.0.0/15", "fd00::/8"]

[providers.default.limits]
creates_per_second = 2
tasks_in_flight = 3
queries_per_second = 0.5

[providers.lab]
base_url = "http://127.0.0.1:8080/api/v1"

[budget]
max_cost = "200 CNY"
confirm_above = "20.50 CNY"

[allow]
secrets = ["TOKEN"]
hosts = ["example.com", "*.example.org", "::1"]
kinds = []
plugins = ["file"]
"""


def settings_of(folder: Path, text: str, **options: Any) -> Settings:
    """Read `wanrun.toml` with this text."""
    (folder / "wanrun.toml").write_text(text, encoding="utf-8")
    return load_settings(**({"start": folder, "environ": {}} | options))


def refused(folder: Path, text: str) -> str:
    """Return what is said about a `wanrun.toml`, without the folder."""
    with pytest.raises(SettingsError) as caught:
        settings_of(folder, text)
    assert caught.value.exit_code is ExitCode.INVALID
    return str(caught.value).replace(f"{folder}/", "")


def test_every_key_is_read(tmp_path: Path) -> None:
    """What the file says is what holds, with the type it is used with."""
    settings = settings_of(tmp_path, EVERY_KEY)

    assert settings.providers["default"] == Provider(
        region="beijing",
        workspace="ws-123",
        api_key_env="OTHER_KEY",
        poll_seconds=7.5,
        patience_seconds=60,
        settle_seconds=90,
        scan_gap_seconds=45,
        link_networks=("198.18.0.0/15", "fd00::/8"),
        limits=Limits(creates_per_second=2, tasks_in_flight=3, queries_per_second=0.5),
    )
    assert settings.providers["lab"] == Provider(name="lab", base_url="http://127.0.0.1:8080/api/v1")
    assert settings.budget == Budget(max_cost=Money.parse("200 CNY"), confirm_above=Money.parse("20.50 CNY"))
    hosts = ("example.com", "*.example.org", "::1")
    assert settings.allow == Allow(secrets=("TOKEN",), hosts=hosts, kinds=(), plugins=("file",))


def test_no_key_goes_untried(tmp_path: Path) -> None:
    """Whoever adds a key adds it to the test above."""
    written = {line.partition(" = ")[0] for line in EVERY_KEY.splitlines() if " = " in line}

    assert written == {item.name for kind in (Provider, Limits, Budget, Allow) for item in fields(kind)} - {
        "name",
        "limits",
    }


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    """One provider, at the service's own address, below the service's own limits."""
    settings = load_settings(start=tmp_path, environ={})

    assert settings.providers == {"default": Provider()}
    assert settings.state_folder == settings.root / ".wanrun"


@pytest.mark.parametrize(("written", "folder"), [("mounted", "mounted"), ("/run/secrets", "/run/secrets")])
def test_the_folder_of_secrets_starts_at_the_project_root(tmp_path: Path, written: str, folder: str) -> None:
    """An absolute one is taken as it is; without the key there is none."""
    settings = settings_of(tmp_path, f'[secrets]\nfolder = "{written}"\n')

    assert settings.secrets_folder == settings.root / folder
    assert settings_of(tmp_path, "").secrets_folder is None


def test_there_is_always_a_default_provider(tmp_path: Path) -> None:
    """A file that only describes another provider does not take it away."""
    settings = settings_of(tmp_path, "[providers.lab]\npoll_seconds = 1\n")

    assert set(settings.providers) == {"default", "lab"}


KNOWN = (
    "api_key_env, base_url, limits, link_networks, patience_seconds, poll_seconds, region, scan_gap_seconds, "
    "settle_seconds, workspace"
)
AN_AMOUNT = 'give an amount with its currency, such as "200 CNY"'
WHOLE = "give a whole number from 1 to 10000"
WRONG = {
    'regoin = "beijing"': 'unknown key "providers.default.regoin"; did you mean "region"?',
    "colour = 1": f'unknown key "providers.default.colour"; known here: {KNOWN}',
    "name = 'x'": f'unknown key "providers.default.name"; known here: {KNOWN}',
    "region = 'mars'": 'providers.default.region is "mars"; give singapore or beijing',
    "workspace = '../x'": 'providers.default.workspace is "../x"; give 1 to 64 letters, digits, _ and -, '
    "a letter or digit first",
    "limits.tasks_in_fligth = 3": 'unknown key "providers.default.limits.tasks_in_fligth"; '
    'did you mean "tasks_in_flight"?',
    "region = 3": "providers.default.region is 3; give a text in quotes",
    "workspace = ''": 'providers.default.workspace is ""; give a text in quotes',
    "base_url = ['a']": 'providers.default.base_url is ["a"]; give a text in quotes',
    "api_key_env = true": "providers.default.api_key_env is true; give a text in quotes",
    "poll_seconds = '5'": 'providers.default.poll_seconds is "5"; give a number above 0, below 1000000',
    "poll_seconds = 0": "providers.default.poll_seconds is 0; give a number above 0, below 1000000",
    "patience_seconds = -1.5": "providers.default.patience_seconds is -1.5; give a number above 0, below 1000000",
    "patience_seconds = nan": "providers.default.patience_seconds is NaN; give a number above 0, below 1000000",
    "patience_seconds = inf": "providers.default.patience_seconds is Infinity; give a number above 0, below 1000000",
    "poll_seconds = true": "providers.default.poll_seconds is true; give a number above 0, below 1000000",
    "poll_seconds = 2020-01-01": 'providers.default.poll_seconds is "2020-01-01"; give a number above 0, below 1000000',
    "link_networks = '10.0.0.0/8'": 'providers.default.link_networks is "10.0.0.0/8"; '
    'give a list such as ["198.18.0.0/15"]',
    "link_networks = ['10.0.0.1/8']": 'providers.default.link_networks is ["10.0.0.1/8"]; '
    'give a list such as ["198.18.0.0/15"]',
    "limits = 3": "providers.default.limits is 3; give a table",
    "limits.tasks_in_flight = 2.0": "providers.default.limits.tasks_in_flight is 2.0; " + WHOLE,
    "limits.tasks_in_flight = 0": "providers.default.limits.tasks_in_flight is 0; " + WHOLE,
    "limits.creates_per_second = 0": "providers.default.limits.creates_per_second is 0; "
    "give a number above 0, below 1000000",
    "base_url = 'https://a/api/v1'\nregion = 'beijing'": "providers.default has both base_url and region or workspace; "
    "give one of the two",
    "base_url = 'https://a/api/v1'\nworkspace = 'ws'": "providers.default has both base_url and region or workspace; "
    "give one of the two",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items(), ids=list(WRONG))
def test_a_wrong_key_is_named_with_what_to_give(tmp_path: Path, text: str, message: str) -> None:
    """The message names the file and the key, and says what may stand there."""
    assert refused(tmp_path, f"[providers.default]\n{text}\n") == f"wanrun.toml: {message}"


NO_TABLES = {
    "[bugdet]\nmax_cost = 3": 'unknown key "bugdet"; did you mean "budget"?',
    "[providers]\npoll_seconds = 1": (
        "providers.poll_seconds is not a provider's table; write poll_seconds in [providers.default]"
    ),
    "budget = 3": "budget is not a table; write [budget]",
    "[budget]\nmax = 3": 'unknown key "budget.max"; known here: confirm_above, max_cost',
    "[budget]\nmax_cost = 3": f"budget.max_cost is 3; {AN_AMOUNT}",
    "[budget]\nmax_cost = '3'": f'budget.max_cost is "3"; {AN_AMOUNT}',
    "[budget]\nconfirm_above = '-3 CNY'": f'budget.confirm_above is "-3 CNY"; {AN_AMOUNT}',
    "[provider.default]": 'unknown key "provider"; did you mean "providers"?',
    "providers = 3": "providers is not a table; write [providers.default]",
    "[providers]\ndefault = 3": "providers.default is not a table; write [providers.default]",
    "secrets = 3": "secrets is not a table; write [secrets]",
    "[secrets]\nfolder = 3": "secrets.folder is 3; give a text in quotes",
    "[secrets]\nfolder = ''": 'secrets.folder is ""; give a text in quotes',
    "[secrets]\nfoldr = 'x'": 'unknown key "secrets.foldr"; did you mean "folder"?',
    "[providers": "not valid TOML: Expected ']' at the end of a table declaration (at end of document)",
}


@pytest.mark.parametrize(("text", "message"), NO_TABLES.items(), ids=list(NO_TABLES))
def test_a_wrong_table_is_named(tmp_path: Path, text: str, message: str) -> None:
    """What is not enforced is refused, so that nobody relies on it."""
    assert refused(tmp_path, text) == f"wanrun.toml: {message}"


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 get a sentence, not a traceback."""
    (tmp_path / "wanrun.toml").write_bytes(b"\xff\xfe")

    with pytest.raises(SettingsError, match=r"wanrun\.toml: not valid TOML"):
        load_settings(start=tmp_path, environ={})


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    """It is not taken for an absent file, whose defaults might cost money elsewhere."""
    (tmp_path / "wanrun.toml").mkdir()

    with pytest.raises(SettingsError, match=r"wanrun\.toml: Is a directory"):
        load_settings(start=tmp_path, environ={})


def test_another_file_can_be_named(tmp_path: Path) -> None:
    """--config replaces the file at the project root, and has to exist."""
    (tmp_path / "other.toml").write_text("[providers.default]\npoll_seconds = 2\n")

    settings = settings_of(tmp_path, "[providers.default]\npoll_seconds = 1\n", config=tmp_path / "other.toml")

    assert settings.providers["default"].poll_seconds == 2
    with pytest.raises(SettingsError, match=r"no\.toml: no such file \(given by --config\)"):
        load_settings(start=tmp_path, config=tmp_path / "no.toml", environ={})


FLAG, TOML, VARIABLE = "https://flag/api/v1", "https://toml/api/v1", "https://variable/api/v1"


@pytest.mark.parametrize(
    ("text", "flag", "variable", "expected"),
    [
        pytest.param(f'base_url = "{TOML}"', FLAG, VARIABLE, FLAG, id="the flag outranks all"),
        pytest.param('region = "beijing"\nworkspace = "ws"', FLAG, "", FLAG, id="the flag outranks a workspace"),
        pytest.param(f'base_url = "{TOML}"', None, VARIABLE, TOML, id="the file outranks the variable"),
        pytest.param('region = "beijing"', None, VARIABLE, None, id="so does its region"),
        pytest.param('workspace = "ws"', None, VARIABLE, None, id="and its workspace"),
        pytest.param("", None, VARIABLE, VARIABLE, id="the variable outranks the default"),
        pytest.param("", None, f"  {VARIABLE}\n", VARIABLE, id="spaces around the variable do not count"),
        pytest.param("", None, "  ", None, id="an empty variable does not count"),
        pytest.param("", None, "", None, id="nothing said"),
    ],
)
def test_the_base_url_that_wins(
    tmp_path: Path, text: str, flag: str | None, variable: str, expected: str | None
) -> None:
    """Flag, then file, then the official SDK's variable, then the region's own host."""
    environ = {BASE_URL_VARIABLE: variable}

    settings = settings_of(tmp_path, f"[providers.default]\n{text}\n", base_url=flag, environ=environ)

    assert settings.providers["default"].base_url == expected
    assert not (flag and settings.providers["default"].workspace)


def test_the_project_root_is_the_nearest_marked_folder(tmp_path: Path) -> None:
    """Upwards from the working directory: wanrun.toml, .wanrun or .git; else the folder itself."""
    inner = tmp_path / "project" / "specs" / "deep"
    inner.mkdir(parents=True)
    (tmp_path / "project" / ".git").mkdir()
    (tmp_path / "project" / "specs" / "wanrun.toml").touch()

    assert project_root(inner) == tmp_path / "project" / "specs"
    (tmp_path / "project" / "specs" / "wanrun.toml").unlink()
    assert project_root(inner) == tmp_path / "project"
    (inner / ".wanrun").mkdir()
    assert project_root(inner) == inner


@pytest.mark.parametrize("value", ["", "   ", None], ids=["empty", "spaces", "unset"])
def test_a_missing_key_names_its_variable(value: str | None) -> None:
    """The message says which variable to set, and how to go without."""
    environ = {} if value is None else {"OTHER_KEY": value}

    with pytest.raises(SettingsError, match="no API key: set OTHER_KEY"):
        Provider(api_key_env="OTHER_KEY").api_key(environ)


@pytest.mark.parametrize("value", ["sk-a b", "sk-a\u200bb", "sk-\x1b[31m", "sk-ä"], ids=ascii)
def test_a_key_that_cannot_be_one_is_refused_unseen(value: str) -> None:
    """It was copied wrong; the message does not repeat it."""
    with pytest.raises(SettingsError) as caught:
        Provider().api_key({"DASHSCOPE_API_KEY": value})

    assert "DASHSCOPE_API_KEY" in str(caught.value)
    assert value not in str(caught.value)


def test_a_key_is_a_secret() -> None:
    """It is stripped of the newline that came with it, and prints as ***."""
    key = Provider().api_key({"DASHSCOPE_API_KEY": "sk-canary\n"})

    assert key.reveal() == "sk-canary"
    assert (str(key), repr(key), f"{key}") == ("***",) * 3


@pytest.mark.parametrize(
    ("provider", "region"),
    [
        pytest.param(Provider(), "singapore", id="nothing said"),
        pytest.param(Provider(region="beijing"), "beijing", id="its own"),
        pytest.param(Provider(base_url="https://a/api/v1"), "singapore", id="a base URL tells no region: the dearest"),
        pytest.param(Provider(region="beijing", base_url="https://a/api/v1"), "singapore", id="the flag over a region"),
    ],
)
def test_prices_are_those_of_the_region(provider: Provider, region: str) -> None:
    """A budget counts by them, so where nobody can tell it counts too much rather than too little."""
    assert provider.price_region == region
