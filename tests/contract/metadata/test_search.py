"""Looking for words in what people wrote. 004.18"""

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc.aio import AioRpcError

from modelyard.metadata.v1 import model_pb2, run_pb2, search_pb2
from modelyard.metadata.v1.project_pb2 import DeleteProjectRequest
from modelyard.metadata.v1.search_pb2_grpc import SearchServiceStub
from servicekit import statuses

from .aggregates import Aggregates
from .conftest import Metadata


class Searches:
    def __init__(self, metadata: Metadata) -> None:
        self.stub = SearchServiceStub(metadata.channel.grpc)
        self.quick = metadata.quick

    async def page(self, query: str, **request: Any) -> search_pb2.SearchRecordsResponse:
        return await self.stub.SearchRecords(search_pb2.SearchRecordsRequest(query=query, **request), **self.quick)

    async def names(self, query: str, **request: Any) -> list[str]:
        return [each.name for each in (await self.page(query, **request)).results]


async def test_all_kinds_of_records_are_found_newest_first(metadata: Metadata):
    aggregates, searches = Aggregates(metadata), Searches(metadata)
    await metadata.project(name="Churn project")
    await metadata.dataset(name="churn", description="Who left, and why")
    await aggregates.model(name="churn_model_v2", description="a first attempt")
    await aggregates.experiment(name="exp", goal="Understand churn")
    await aggregates.campaign(name="no match")
    await metadata.run(name="run of churn", user_id="grace")
    await aggregates.story(title="Why CHURN matters")
    found = await searches.page("churn")

    assert [(each.entity, each.name) for each in found.results] == [
        ("stories", "Why CHURN matters"),
        ("runs", "run of churn"),
        ("experiments", "exp"),
        ("models", "churn_model_v2"),
        ("datasets", "churn"),
        ("projects", "Churn project"),
    ]
    assert all(each.HasField("create_time") and each.id for each in found.results)
    assert await searches.names("churn", user_id="grace") == ["run of churn"]
    assert await searches.names("churn", entities=["runs", "models"]) == ["run of churn", "churn_model_v2"]
    assert await searches.names("churn why") == ["Why CHURN matters", "churn"]


async def test_pages_of_a_search_are_complete(metadata: Metadata):
    searches = Searches(metadata)
    for number in range(5):
        await metadata.project(name=f"part {number}")
    names, token = list[str](), ""
    while not names or token:
        page = await searches.page("part", page_size=2, page_token=token)
        names += [each.name for each in page.results]
        token = page.next_page_token
    first = await searches.page("part", page_size=2)
    with pytest.raises(AioRpcError) as raised:
        await searches.page("other", page_size=2, page_token=first.next_page_token)

    assert names == [f"part {number}" for number in reversed(range(5))]
    assert statuses.field_of(raised.value) == "page_token"


TEXT = "The ai of_an «Été» don't 3.14x C++ naïve STRASSE 日本語 and 'wrdai' q71q Ünï"
FOUND = (
    *("ai", "AI", "the", "an", "of", "été", "ÉTÉ", "Éte\u0301", "don", "t", "3", "14x", "c", "c++", "naïve", "straße"),
    *("日本語", "and the", "C -- t", "wrdai", "q71q", "ünï", "THE AI OF AN", "c:*", '"don" AND', "t NOT", "(an)"),
)
MISSING = ("a", "ete", "naive", "donut", "3 15", "14", "日本", "wrd", "q", "churn the", "i", "straß", "nothing")


async def test_whole_words_are_found_in_any_case_short_and_common_ones_too(metadata: Metadata):
    searches = Searches(metadata)
    await metadata.project(name=TEXT)
    found = {query: await searches.names(query) for query in (*FOUND, *MISSING)}
    not_words = {'"don" AND': "and", "t NOT": "not"}

    assert [query for query in FOUND if not found[query] and query not in not_words] == []
    assert [query for query in MISSING if found[query]] == []


async def test_what_databases_give_a_meaning_to_is_only_text(metadata: Metadata):
    searches = Searches(metadata)
    await metadata.project(name="plain words here")
    for hostile in (
        "words*",
        'words"',
        "words OR nothing",
        "-words",
        "+words",
        "words NEAR here",
        "words:",
        "%",
        "wo_ds",
    ):
        if not any(each.isalnum() for each in hostile):
            continue
        expected = ["plain words here"] if hostile.strip('*"-+:') == "words" else []
        assert await searches.names(hostile) == expected, hostile
    for hostile in (
        "{words}",
        "(words",
        "words)",
        "\\words",
        "words'--",
        "words;",
        "^words",
        "~words <words >words @words",
    ):
        assert await searches.names(hostile) == ["plain words here"], hostile


async def test_what_is_changed_or_gone_is_found_so(metadata: Metadata):
    searches, project = Searches(metadata), await metadata.project(name="gone soon")
    run = await metadata.run(name="before", notes="kept")
    for name in ("between", "after"):
        changed = run_pb2.UpdateRunRequest(run=run_pb2.Run(id=run.id, name=name), update_mask=FieldMask(paths=["name"]))
        await metadata.runs.UpdateRun(changed, **metadata.quick)
    status = run_pb2.Run(id=run.id, status=run_pb2.RUN_STATUS_FAILED)
    ended = run_pb2.UpdateRunRequest(run=status, update_mask=FieldMask(paths=["status"]))
    await metadata.runs.UpdateRun(ended, **metadata.quick)
    await metadata.projects.DeleteProject(DeleteProjectRequest(id=project.id), **metadata.quick)

    assert await searches.names("gone") == []
    assert await searches.names("before") == []
    assert await searches.names("between") == []
    assert await searches.names("after kept") == ["after"]


async def test_what_falls_with_another_record_is_found_no_more(metadata: Metadata):
    aggregates, searches = Aggregates(metadata), Searches(metadata)
    model = await aggregates.model(name="short lived")
    await metadata.models.DeleteModel(model_pb2.DeleteModelRequest(id=model.id), **metadata.quick)

    assert await searches.names("lived") == []


@pytest.mark.parametrize("query", ["", "!?", " ".join(f"w{number}" for number in range(21)), "x" * 3000])
async def test_a_query_without_a_word_or_with_too_many_is_refused(metadata: Metadata, query: str):
    with pytest.raises(AioRpcError) as raised:
        await Searches(metadata).page(query)

    assert statuses.field_of(raised.value) == "query"


async def test_a_kind_without_texts_is_refused(metadata: Metadata):
    for kind in ("jobs", "search_texts", "nothing"):
        with pytest.raises(AioRpcError) as raised:
            await Searches(metadata).page("word", entities=[kind])

        assert statuses.field_of(raised.value) == "entities"
