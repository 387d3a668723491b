"""What may be brought from elsewhere, from Kaggle or the web, and what can be wrong with it."""

import re
import unicodedata
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from servicekit.errors import Denied, Exhausted, InvalidInput, LimitReached, NotFound, NotReady, TooLate, Unavailable

EVERYTHING = "*"
"""Name of a file that stands for all of them, as one zip."""
TABLES = (".csv", ".tsv", ".tab")
IMAGES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff",
          ".pnm", ".ppm", ".pgm", ".pbm")  # fmt: skip
SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
MOST_LISTED = 20
MOST_NAME = 200
WAIT_SECONDS, MOST_WAIT_SECONDS = 60, 3600


class NothingNamed(InvalidInput):
    """It is not said what to bring. Name a dataset of Kaggle, or an address."""


class BadKaggleName(InvalidInput):
    """{given!r} is no dataset of Kaggle. Give owner/name, as in its address kaggle.com/datasets/owner/name."""

    field = "dataset"


class BadKaggleFile(InvalidInput):
    """{given!r} cannot be the path of a file. Give one as Kaggle lists it."""

    field = "file"


class BadVersion(InvalidInput):
    """There is no version {given} of any dataset. Give a number from 1, or none for the newest."""

    field = "version"


class SeveralFiles(InvalidInput):
    """{dataset} holds several tables: {files}. Name one of them as the file, or * for everything as one zip."""

    field = "file"


class NoTable(InvalidInput):
    """{dataset} holds no CSV or TSV table and is not made of images. It holds: {files}. Name one of them as the file
    if it is a table or a zip of images all the same."""

    field = "file"


class NotOneFile(InvalidInput):
    """What Kaggle sent for {file} is a zip of {found} files, and one was expected. Name * for everything as one zip."""

    field = "file"


class KaggleMissing(NotReady):
    """Kaggle's client is not installed here. Whoever runs this Modelyard installs it with modelyard[kaggle]."""


class CredentialsMissing(NotReady):
    """Kaggle wants to know who asks. Send your user name and API key, from kaggle.com/settings, or an API token;
    whoever runs this Modelyard may set KAGGLE_USERNAME and KAGGLE_KEY, or KAGGLE_API_TOKEN, for all."""


class CredentialsRefused(Denied):
    """Kaggle does not accept these credentials. Make a new API key at kaggle.com/settings and send that."""


class KaggleForbids(Denied):
    """Kaggle does not let this user have {what}. It may be private, misspelt, or ask for its terms to be accepted on
    its page first."""


class UnknownAtKaggle(NotFound):
    """Kaggle has no {what}. Compare it with its address on kaggle.com."""


class KaggleRefuses(InvalidInput):
    """Kaggle cannot do anything with this request (status {status}). Compare it with the dataset's page."""

    field = "dataset"


class KaggleBusy(Exhausted):
    """Kaggle has had too many requests of this user. Repeat the request in {after_seconds} seconds."""


class KaggleDown(Unavailable):
    """Kaggle does not give the dataset now: {trouble}. Repeat the request later."""


class FileTooLarge(LimitReached):
    """The file is larger than {limit} bytes, the most that is brought from elsewhere. TRAINING_FETCH_BYTES changes
    it."""


class ImportTooLong(TooLate):
    """The file did not arrive within {seconds:g} seconds. TRAINING_FETCH_SECONDS changes it; a dataset that is
    downloaded by hand can be uploaded."""


class BadAddress(InvalidInput):
    """This is no address to import from: {trouble}. Give the https address of the file itself."""

    field = "url"


class AddressesOff(NotReady):
    """Importing from addresses is switched off here. Whoever runs this Modelyard may list hosts in TRAINING_URL_HOSTS;
    a file that is downloaded by hand can be uploaded."""


class HostNotListed(InvalidInput):
    """The host {host} is not among those that may be asked: {known}. Whoever runs this Modelyard may add it to
    TRAINING_URL_HOSTS."""

    field = "url"


class HostNotPublic(InvalidInput):
    """The host {host} leads to an address that is not public, and is not asked. Whoever runs this Modelyard may list
    it with its port in TRAINING_URL_HOSTS."""

    field = "url"


class TooManyRedirects(InvalidInput):
    """The address leads on to another more than {limit} times. Give the one that it leads to in the end."""

    field = "url"


class PageNotFile(InvalidInput):
    """The address leads to a web page, not to a file. Give the address that its download button has."""

    field = "url"


class HostRefuses(Denied):
    """{host} does not give the file to everybody (status {status}). Give an address that needs no log-in."""


class UnknownToHost(NotFound):
    """{host} has no such file (status {status}). Open the address in a browser to see what is there."""


class HostBusy(Exhausted):
    """{host} has had too many requests. Repeat the request in {after_seconds} seconds."""


class HostOdd(InvalidInput):
    """{host} gives no file: {trouble}. Download it by hand and upload it."""

    field = "url"


class HostDown(Unavailable):
    """{host} does not give the file now: {trouble}. Repeat the request later."""


@dataclass(frozen=True)
class KaggleCredentials:
    """What Kaggle knows a user by: a name and a key, or a token. Never logged, never written to a disk."""

    username: str = ""
    key: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @property
    def complete(self) -> bool:
        """Whether they can be tried at all."""
        return bool(self.token or (self.username and self.key))

    @property
    def plausible(self) -> bool:
        """Whether they can be sent: as the letters of a header."""
        whole = self.username + self.key + self.token
        return whole.isascii() and whole.isprintable()


@dataclass(frozen=True)
class KaggleWish:
    """A dataset of Kaggle, or a file of it; the newest version when 0."""

    owner: str
    name: str
    file: str = ""
    version: int = 0

    @classmethod
    def of(cls, dataset: str, file: str, version: int) -> "KaggleWish":
        """What was asked for; raises BadKaggleName, BadKaggleFile and BadVersion."""
        owner, _, name = dataset.partition("/")
        if not SLUG.fullmatch(owner) or not SLUG.fullmatch(name):
            raise BadKaggleName(given=dataset[:MOST_NAME])
        if not file.isprintable() or len(file) > MOST_NAME or ".." in PurePosixPath(file).parts:
            raise BadKaggleFile(given=file[:MOST_NAME])
        if not 0 <= version < 2**31:
            raise BadVersion(given=version)
        return cls(owner, name, file, version)

    @property
    def dataset(self) -> str:
        """The dataset as people write it."""
        return f"{self.owner}/{self.name}"

    def choose(self, names: Sequence[str]) -> str:
        """Which of the dataset's files to bring, EVERYTHING for all; raises SeveralFiles and NoTable."""
        if self.file:
            return self.file
        tables = [name for name in names if name.lower().endswith(TABLES)]
        images = sum(name.lower().endswith(IMAGES) for name in names)
        if images > len(names) / 2:
            return EVERYTHING
        zips = [name for name in names if name.lower().endswith(".zip")]
        found = tables or zips
        if len(found) == 1:
            return found[0]
        raise (
            SeveralFiles(dataset=self.dataset, files=listed(found))
            if found
            else NoTable(dataset=self.dataset, files=listed(names))
        )


@dataclass(frozen=True)
class WebWish:
    """A file on the web."""

    url: str = field(repr=False)


@dataclass(frozen=True)
class Fetched:
    """A file that lies whole in a folder, under a name that is ours; how it is named there, and its bytes."""

    file_name: str
    size: int


@dataclass(frozen=True)
class Arrival:
    """A file on its way: its name, its bytes (0 when not known), and what comes of it."""

    file_name: str
    size: int
    chunks: AsyncIterator[bytes]


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them: the first, and how many more there are."""
    shown = ", ".join(name[:MOST_NAME] for name in names[:MOST_LISTED])
    more = len(names) - MOST_LISTED
    return f"{shown} and {more} more" if more > 0 else shown or "nothing"


def plain_name(given: str) -> str:
    """A name from outside without folders and control characters, and not too long; data.csv where nothing is left."""
    name = given.replace("\\", "/").rpartition("/")[2]
    printable = "".join(character for character in name if unicodedata.category(character)[0] != "C").strip(" .")
    return printable[-MOST_NAME:] or "data.csv"


def seconds_to_wait(said: str) -> int:
    """What the header Retry-After asks for, as far as we believe it; a minute where it says no number (or a date)."""
    return min(max(1, int(said)), MOST_WAIT_SECONDS) if re.fullmatch(r"[0-9]{1,9}", said) else WAIT_SECONDS
