"""What the documents say is so."""

import ast
import hashlib
import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import typer
from starlette.routing import Match, Route

from gateway.bootstrap import create_app
from gateway.settings import GatewaySettings
from modelyard import cli, errors, records
from modelyard import registry as registries
from modelyard.client import Client
from modelyard.registry.config import RegistrySettings
from modelyard.registry.registries import Blocking
from modelyard.settings import ClientSettings
from services.metadata.settings import MetadataSettings
from services.storage.settings import StorageSettings
from services.training.settings import TrainingSettings
from tests.unit.documents import (
    DOCUMENTS,
    ENV_EXAMPLE,
    FENCE,
    LINK,
    README,
    ROOT,
    anchors,
    code,
    documented,
    env_names,
    prose,
)

SETTINGS = [ClientSettings, GatewaySettings, StorageSettings, MetadataSettings, RegistrySettings, TrainingSettings]
SHELL = code(README, "sh").replace("\\\n", " ")


def test_every_setting_is_documented_once_and_nothing_else_is():
    """002: `.env.example` names every setting there is."""
    names = [setting.name for setting in documented()]

    assert sorted(names) == sorted({name for settings in SETTINGS for name in env_names(settings)})


@pytest.mark.parametrize("settings", SETTINGS)
def test_documented_defaults_are_the_real_ones(settings, tmp_path: Path, monkeypatch):
    """Reading the whole file, uncommented, changes nothing."""
    for name in env_names(settings):
        monkeypatch.delenv(name, raising=False)
    whole = tmp_path / "env"
    whole.write_text("".join(f"{setting.name}={setting.default}\n" for setting in documented()))

    assert settings(_env_file=whole) == settings(_env_file=None)


@pytest.mark.parametrize("settings", SETTINGS)
def test_an_empty_variable_is_as_good_as_none(settings, monkeypatch):
    """Compose passes on variables that nobody set as empty ones."""
    plain = settings(_env_file=None)
    for name in env_names(settings):
        monkeypatch.setenv(name, "")

    assert settings(_env_file=None) == plain


def test_what_a_setting_does_is_a_sentence():
    sentences = [setting.sentence for setting in documented()]

    assert all(re.fullmatch(r"[A-Z].*\.", sentence) for sentence in sentences)


def test_every_line_that_sets_something_is_commented_out():
    lines = ENV_EXAMPLE.read_text().splitlines()

    assert all(not line or line.startswith("#") for line in lines)


def test_the_table_of_settings_in_the_readme_is_that_of_the_example_file():
    rows = re.findall(r"^\| `[A-Z_]+` \|.*\|$", README.read_text(), re.MULTILINE)

    assert rows == [setting.row for setting in documented()]


def test_make_targets_in_the_documents_exist():
    targets = set(re.findall(r"^([a-z0-9 -]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    known = {target for line in targets for target in line.split()}
    named = {name for document in DOCUMENTS for name in re.findall(r"`make ([a-z-]+)", document.read_text())}
    named |= set(re.findall(r"^make ([a-z-]+)", SHELL, re.MULTILINE))

    assert {"run", "demo", "test"} <= named <= known


def commands() -> list[list[str]]:
    """Every use of the command line in the README's shell blocks."""
    lines = [shlex.split(line, comments=True) for line in SHELL.splitlines()]
    return [words[1:] for words in lines if words and words[0].rpartition("/")[2] == "modelyard"]


def test_commands_of_the_readme_exist_with_their_options():
    known = typer.main.get_command(cli.app).commands

    assert {words[0] for words in commands()} <= set(known)
    for name, *words in commands():
        options = {
            option for parameter in known[name].params for option in (*parameter.opts, *parameter.secondary_opts)
        }
        given = {word.partition("=")[0] for word in words if word.startswith("--")}

        assert given <= options, name


def test_every_command_is_in_the_readme():
    shown = {words[0] for words in commands()}

    assert set(typer.main.get_command(cli.app).commands) <= shown


def test_commands_in_prose_exist():
    known = set(typer.main.get_command(cli.app).commands)
    named = {name for document in DOCUMENTS for name in re.findall(r"`modelyard ([a-z]+)", prose(document))}

    assert named <= known


def requests() -> list[tuple[str, str]]:
    """Method and path of every curl command in the README."""
    found = []
    for line in SHELL.splitlines():
        if line.startswith("curl "):
            words = shlex.split(line)
            url = next(word for word in words if word.startswith("http://"))
            method = words[words.index("-X") + 1] if "-X" in words else "PUT" if "-T" in words else "GET"
            found.append(("POST" if method == "GET" and {"-F", "-d", "--json"} & set(words) else method, url))
    return found


def test_paths_of_the_readmes_curl_commands_exist_in_the_gateway():
    app = create_app(GatewaySettings(_env_file=None))
    unknown = [(method, url) for method, url in requests() if not routed(app, method, urlsplit(url).path)]

    assert len(requests()) >= 6
    assert unknown == []


def routed(app, method: str, path: str) -> bool:
    scope = {"type": "http", "method": method, "path": path, "headers": [], "root_path": ""}
    return any(route.matches(scope)[0] is Match.FULL for route in app.router.routes)


def test_a_path_that_does_not_exist_would_be_found():
    app = create_app(GatewaySettings(_env_file=None))

    assert not routed(app, "GET", "/api/no/such/path")
    assert not routed(app, "DELETE", "/api/train")
    assert any(isinstance(route, Route) for route in app.router.routes)


def test_the_readmes_python_uses_what_the_client_has():
    tree = ast.parse(code(README, "python"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    called = called_on(tree, "yard")

    assert imported <= {"Client", *vars(errors), *vars(records), *registries.__all__}
    assert called >= {"train", "watch", "download"}
    assert all(hasattr(Client, name) for name in called)


def called_on(tree: ast.AST, variable: str) -> set[str]:
    """The methods that code calls on what a variable holds."""
    return {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == variable
    }


@pytest.mark.parametrize("document", [README, ROOT / "docs/registry.md"], ids=lambda path: path.name)
def test_python_that_keeps_a_registry_runs(document: Path, tmp_path: Path, monkeypatch):
    """004.2: every block that opens one, in an empty folder; and the table of calls names those that there are."""
    monkeypatch.chdir(tmp_path)
    blocks = [body for name, body in FENCE.findall(document.read_text()) if name == "python" and "connect(" in body]
    for block in blocks:
        exec(compile(block, str(document), "exec"), {})

    assert blocks
    assert (tmp_path / "ai_models.db").exists()


def test_every_call_of_the_registry_is_described():
    described = set(re.findall(r"`([a-z_]+)\(", prose(ROOT / "docs/registry.md")))
    calls = {name for name, value in vars(registries.Registry).items() if isinstance(value, Blocking)}

    assert calls <= described


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document):
    broken = [link for link in LINK.findall(prose(document)) if "://" not in link and not _leads(document, link)]

    assert broken == []


def _leads(document: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (document.parent / path).resolve() if path else document
    return target.exists() and (not anchor or anchor in anchors(target))


def test_every_decision_is_in_the_list_of_decisions():
    listed = set(LINK.findall((ROOT / "docs/adr/0001-record-decisions.md").read_text()))
    written = {path.name for path in (ROOT / "docs/adr").glob("*.md")} - {"0001-record-decisions.md"}

    assert written == listed


def test_the_sample_is_the_one_whose_source_is_told():
    samples = ROOT / "client/modelyard/samples"
    told = (samples / "SOURCE.md").read_text()
    digest = hashlib.sha256((samples / "penguins.csv").read_bytes()).hexdigest()

    assert digest in told
    assert "CC0" in told


def test_the_schema_for_compose_files_is_the_one_whose_source_is_told():
    data = ROOT / "tests/data"
    digest = hashlib.sha256((data / "compose-spec.json").read_bytes()).hexdigest()

    assert digest in (data / "SOURCE.md").read_text()
