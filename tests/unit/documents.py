"""What the documents say, in a form that tests can compare with what is true."""

import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import AliasChoices
from pydantic_settings import BaseSettings

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
ENV_EXAMPLE = ROOT / ".env.example"
DOCUMENTS = [README, *sorted(ROOT.glob("docs/**/*.md"))]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SETTING = re.compile(r"^((?:# .*\n)+)#([A-Z_]+)=(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Documented:
    """A setting as `.env.example` has it."""

    name: str
    default: str
    sentence: str

    @property
    def row(self) -> str:
        """The same as a row of README's table."""
        return f"| `{self.name}` | {f'`{self.default}`' if self.default else ''} | {self.sentence} |"


def documented() -> list[Documented]:
    """The settings of `.env.example`, in its order."""
    found = SETTING.findall(ENV_EXAMPLE.read_text())
    return [Documented(name, default, " ".join(re.findall(r"# (.*)", said))) for said, name, default in found]


def env_names(settings: type[BaseSettings]) -> list[str]:
    """The names of the environment from which a class reads its fields, in order."""
    prefix = settings.model_config.get("env_prefix", "")
    return [_name(prefix, field, info.validation_alias) for field, info in settings.model_fields.items()]


def _name(prefix: str, field: str, alias: object) -> str:
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return alias if isinstance(alias, str) else f"{prefix}{field}".upper()


def code(document: Path, language: str) -> str:
    """All blocks of a language in a document."""
    return "\n".join(body for name, body in FENCE.findall(document.read_text()) if name == language)


def prose(document: Path) -> str:
    """A document without its blocks of code."""
    return FENCE.sub("", document.read_text())


def anchors(document: Path) -> set[str]:
    """The names under which a document's headings can be linked to."""
    headings = re.findall(r"^#+ (.*)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
