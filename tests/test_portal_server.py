"""The stand-in portal does what the portal does, seen through the official client's transport."""

from __future__ import annotations

import itertools
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cryoet_data_portal as cdp
import gql
import pytest
from gql.transport.exceptions import (
    TransportConnectionFailed,
    TransportProtocolError,
    TransportQueryError,
    TransportServerError,
)
from gql.transport.requests import RequestsHTTPTransport

from tests.portal_server import Drop, ErrorBody, Fault, Server, Stall, Status, Truncate, serve
from tests.portal_tables import Tables

MANY = 230
"""More than two pages of a nested connection."""


def ask(server: Server, query: str, retries: int = 0) -> dict[str, Any]:
    transport = RequestsHTTPTransport(url=server.url, retries=retries)
    return gql.Client(transport=transport).execute(gql.gql(query))


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return [row["id"] for row in rows]


def small_tables() -> Tables:
    """Two datasets; run 1 has many annotations by two authors each, of two shapes or none."""
    annotations = [
        {
            "id": 1000 + n,
            "runId": 1,
            "depositionId": 7,
            "objectId": "GO:1",
            "objectName": "Ribosome, 80S" if n % 2 else "membrane_like",
            "objectState": None if n % 3 else "open",
            "objectCount": n,
            "methodType": "manual",
            "groundTruthStatus": n % 5 == 0,
            "releaseDate": f"2024-01-{n % 28 + 1:02d}T00:00:00+00:00",
        }
        for n in range(MANY)
    ]
    return {
        "Deposition": [{"id": 7, "title": "Seven"}],
        "Dataset": [{"id": 10, "depositionId": 7, "title": "Ten"}, {"id": 20, "depositionId": 7, "title": "Twenty"}],
        "Run": [
            {"id": 3, "datasetId": 20, "name": "TS_1"},
            {"id": 1, "datasetId": 10, "name": "TS_1"},
            {"id": 2, "datasetId": 10, "name": "TS_2"},
        ],
        "Annotation": annotations,
        "AnnotationAuthor": [
            {"id": 10 * a["id"] + n, "annotationId": a["id"], "name": name, "authorListOrder": n}
            for a in annotations
            for n, name in enumerate(("Zoë", "王"))
        ],
        "AnnotationShape": [
            {"id": 10 * a["id"] + n, "annotationId": a["id"], "shapeType": shape}
            for a in annotations[:10]
            for n, shape in enumerate(("Point", "OrientedPoint"))
        ],
        "AnnotationFile": [
            {"id": 1, "annotationShapeId": 10000, "format": "ndjson", "s3Path": "s3://b/1.ndjson", "httpsPath": ""}
        ],
    }


@pytest.fixture(scope="module")
def server() -> Any:
    with serve(small_tables()) as running:
        yield running


class TestNestedConnections:
    def test_give_a_hundred_items_without_a_word(self, server: Server) -> None:
        (run,) = ask(server, "{runs(where: {id: {_eq: 1}}) {annotations {edges {node {id}}}}}")["runs"]
        assert len(run["annotations"]["edges"]) == 100

    def test_page_on_after_a_cursor_until_there_is_no_next_page(self, server: Server) -> None:
        seen: list[int] = []
        sizes, after = [], "null"
        for _ in range(10):
            query = f"""{{runs(where: {{id: {{_eq: 1}}}}) {{annotations(after: {after}, orderBy: [{{id: asc}}]) {{
                edges {{cursor node {{id}}}} pageInfo {{hasNextPage hasPreviousPage endCursor}}}}}}}}"""
            page = ask(server, query)["runs"][0]["annotations"]
            seen += [edge["node"]["id"] for edge in page["edges"]]
            sizes.append(len(page["edges"]))
            assert page["pageInfo"]["endCursor"] == page["edges"][-1]["cursor"]
            assert page["pageInfo"]["hasPreviousPage"] == (after != "null")
            if not page["pageInfo"]["hasNextPage"]:
                break
            after = json.dumps(page["pageInfo"]["endCursor"])
        assert sizes == [100, 100, 30]
        assert seen == [1000 + n for n in range(MANY)]

    def test_refuse_a_longer_page(self, server: Server) -> None:
        with pytest.raises(TransportQueryError, match="'first' cannot be higher than 100"):
            ask(server, "{runs {annotations(first: 101) {edges {node {id}}}}}")
        (run,) = ask(server, "{runs(where: {id: {_eq: 1}}) {annotations(first: 3) {edges {node {id}}}}}")["runs"]
        assert len(run["annotations"]["edges"]) == 3

    def test_filter_and_order_their_items(self, server: Server) -> None:
        query = """{runs(where: {id: {_eq: 1}}) {annotations(
            where: {objectCount: {_lt: 4}}, orderBy: [{objectCount: desc}]) {edges {node {objectCount}}}}}"""
        edges = ask(server, query)["runs"][0]["annotations"]["edges"]
        assert [e["node"]["objectCount"] for e in edges] == [3, 2, 1, 0]

    def test_a_parent_without_children_has_an_empty_page(self, server: Server) -> None:
        query = "{runs(where: {id: {_eq: 2}}) {annotations {edges {node {id}} pageInfo {hasNextPage endCursor}}}}"
        assert ask(server, query)["runs"] == [
            {"annotations": {"edges": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}}
        ]


class TestTopLevelLists:
    def test_have_no_cap(self, server: Server) -> None:
        assert len(ask(server, "{annotations {id}}")["annotations"]) == MANY

    def test_page_by_limit_and_offset(self, server: Server) -> None:
        pages = [
            ids(ask(server, f"{{annotations(orderBy: [{{id: asc}}], limitOffset: {window}) {{id}}}}")["annotations"])
            for window in ("{limit: 100}", "{limit: 100, offset: 100}", "{limit: 100, offset: 200}")
        ]
        assert [len(p) for p in pages] == [100, 100, 30]
        assert list(itertools.chain(*pages)) == [1000 + n for n in range(MANY)]

    def test_an_offset_needs_a_limit(self, server: Server) -> None:
        with pytest.raises(TransportQueryError, match="Cannot use offset without limit"):
            ask(server, "{runs(limitOffset: {offset: 1}) {id}}")

    def test_come_in_no_order_of_their_own(self) -> None:
        query = "{annotations {id authors {edges {node {name}}}}}"
        with serve(small_tables(), shuffle=5) as shuffled:
            first, second = (ask(shuffled, query)["annotations"] for _ in range(2))
        assert ids(first) != ids(second)
        assert sorted(ids(first)) == sorted(ids(second)) == [1000 + n for n in range(MANY)]
        assert len({json.dumps(a["authors"]) for a in first}) == 2, "nested connections have no order either"

    def test_two_pages_without_an_order_miss_rows(self) -> None:
        with serve(small_tables(), shuffle=5) as shuffled:
            pages = [
                ids(ask(shuffled, f"{{annotations(limitOffset: {{limit: 115, offset: {n}}}) {{id}}}}")["annotations"])
                for n in (0, 115)
            ]
        assert set(pages[0]) & set(pages[1])

    def test_shuffling_is_the_same_for_the_same_seed(self) -> None:
        answers = []
        for _ in range(2):
            with serve(small_tables(), shuffle=5) as shuffled:
                answers.append(ask(shuffled, "{annotations {id}}"))
        assert answers[0] == answers[1]

    def test_keep_the_order_asked_for(self) -> None:
        query = "{runs(orderBy: [{dataset: {id: desc}}, {name: asc}]) {id}}"
        with serve(small_tables(), shuffle=5) as shuffled:
            assert [ids(ask(shuffled, query)["runs"]) for _ in range(3)] == [[3, 1, 2]] * 3

    @pytest.mark.parametrize(
        ("direction", "expected"),
        [
            ("asc", ["a", "b", None]),
            ("desc", [None, "b", "a"]),
            ("asc_nulls_first", [None, "a", "b"]),
            ("desc_nulls_last", ["b", "a", None]),
        ],
    )
    def test_missing_values_sort_as_in_postgres(self, direction: str, expected: list[str | None]) -> None:
        rows = [{"id": n, "objectState": state} for n, state in enumerate(("b", None, "a"))]
        with serve({"Annotation": rows}) as stated:
            found = ask(stated, f"{{annotations(orderBy: [{{objectState: {direction}}}]) {{objectState}}}}")
        assert [a["objectState"] for a in found["annotations"]] == expected


class TestFilters:
    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            ("objectCount: {_eq: 7}", lambda a: a["objectCount"] == 7),
            ("objectCount: {_neq: 7}", lambda a: a["objectCount"] != 7),
            ("objectCount: {_in: [7, 9, 999]}", lambda a: a["objectCount"] in (7, 9)),
            ("objectCount: {_nin: [7, 9]}", lambda a: a["objectCount"] not in (7, 9)),
            ("objectCount: {_gt: 7, _lte: 9}", lambda a: 7 < a["objectCount"] <= 9),
            ("objectCount: {_gte: 7, _lt: 9}", lambda a: 7 <= a["objectCount"] < 9),
            ("groundTruthStatus: {_eq: true}", lambda a: a["groundTruthStatus"]),
            ("methodType: {_eq: hybrid}", lambda _: False),
            ("methodType: {_in: [manual]}", lambda _: True),
            ("objectState: {_is_null: true}", lambda a: a["objectState"] is None),
            ("objectState: {_is_null: false}", lambda a: a["objectState"] == "open"),
            ("objectState: {_neq: closed}", lambda a: a["objectState"] == "open"),
            ("objectName: {_like: '%, 8_S'}", lambda a: a["objectName"] == "Ribosome, 80S"),
            ("objectName: {_like: 'rib%'}", lambda _: False),
            ("objectName: {_ilike: 'rib%'}", lambda a: a["objectName"] == "Ribosome, 80S"),
            ("objectName: {_nlike: 'Rib%'}", lambda a: a["objectName"] == "membrane_like"),
            ("objectName: {_regex: 'brane'}", lambda a: a["objectName"] == "membrane_like"),
            ("objectName: {_niregex: 'BRANE'}", lambda a: a["objectName"] == "Ribosome, 80S"),
            ("releaseDate: {_lt: '2024-01-02T00:00:00Z'}", lambda a: a["releaseDate"].startswith("2024-01-01")),
            ("objectCount: {_lt: 9}, objectState: {_eq: 'open'}", lambda a: a["objectCount"] in (0, 3, 6)),
        ],
    )
    def test_compare_as_sql_does(self, server: Server, condition: str, expected: Any) -> None:
        condition = condition.replace("'", '"').replace("closed", '"closed"')
        found = ask(server, f"{{annotations(where: {{{condition}}}) {{id}}}}")["annotations"]
        assert sorted(ids(found)) == [a["id"] for a in small_tables()["Annotation"] if expected(a)]

    def test_a_relation_to_many_gives_no_row_twice(self, server: Server) -> None:
        where = '{annotations: {authors: {name: {_in: ["Zoë", "王"]}}}}'
        assert ids(ask(server, f"{{runs(where: {where}) {{id}}}}")["runs"]) == [1]

    def test_relations_and_fields_narrow_together(self, server: Server) -> None:
        where = '{run: {datasetId: {_eq: 10}, name: {_eq: "TS_1"}}, objectCount: {_in: [3, 4]}, id: {_gt: 1003}}'
        assert ids(ask(server, f"{{annotations(where: {where}) {{id}}}}")["annotations"]) == [1004]
        where = where.replace("_eq: 10", "_eq: 20")
        assert ask(server, f"{{annotations(where: {where}) {{id}}}}") == {"annotations": []}

    def test_a_relation_to_one_can_be_filtered_where_it_is_selected(self, server: Server) -> None:
        query = "{runs(orderBy: [{id: asc}]) {id dataset(where: {id: {_eq: 20}}) {title}}}"
        assert [r["dataset"] for r in ask(server, query)["runs"]] == [None, None, {"title": "Twenty"}]

    def test_nest_four_relations_and_no_more(self, server: Server) -> None:
        four = "{annotationShape: {annotation: {run: {dataset: {%s}}}}}"
        query = "{annotationFiles(where: %s) {id}}"
        assert ask(server, query % four % "id: {_eq: 10}") == {"annotationFiles": [{"id": 1}]}
        with pytest.raises(TransportQueryError, match="Max filter depth exceeded"):
            ask(server, query % four % "deposition: {id: {_eq: 7}}")

    def test_nest_three_relations_in_an_aggregate(self, server: Server) -> None:
        three = "{annotationShape: {annotation: {run: {%s}}}}"
        query = "{annotationFilesAggregate(where: %s) {aggregate {count}}}"
        counted = ask(server, query % three % "datasetId: {_eq: 10}")
        assert counted == {"annotationFilesAggregate": {"aggregate": [{"count": 1}]}}
        with pytest.raises(TransportQueryError, match="Max filter depth exceeded"):
            ask(server, query % three % "dataset: {id: {_eq: 10}}")


class TestAggregates:
    def test_a_row_counts_once_for_each_child_in_its_group(self, server: Server) -> None:
        query = """{annotationsAggregate(where: {objectCount: {_lt: 12}}) {
            aggregate {count groupBy {objectName annotationShapes {shapeType}}}}}"""
        groups = ask(server, query)["annotationsAggregate"]["aggregate"]
        counts = {
            (g["groupBy"]["objectName"], (g["groupBy"]["annotationShapes"] or {}).get("shapeType")): g["count"]
            for g in groups
        }
        # Ten annotations have two shapes, the other two none.
        assert counts == {
            ("membrane_like", "Point"): 5,
            ("membrane_like", "OrientedPoint"): 5,
            ("membrane_like", None): 1,
            ("Ribosome, 80S", "Point"): 5,
            ("Ribosome, 80S", "OrientedPoint"): 5,
            ("Ribosome, 80S", None): 1,
        }

    def test_a_relation_to_one_groups_too(self, server: Server) -> None:
        query = "{runsAggregate {aggregate {count groupBy {dataset {title}}}}}"
        groups = ask(server, query)["runsAggregate"]["aggregate"]
        assert {g["groupBy"]["dataset"]["title"]: g["count"] for g in groups} == {"Ten": 2, "Twenty": 1}

    def test_distinct_values_and_extremes(self, server: Server) -> None:
        query = """{annotationsAggregate {aggregate {
            count(distinct: true, columns: objectName) min {id} max {objectCount} sum {objectCount}}}}"""
        assert ask(server, query)["annotationsAggregate"]["aggregate"] == [
            {
                "count": 2,
                "min": {"id": 1000},
                "max": {"objectCount": MANY - 1},
                "sum": {"objectCount": sum(range(MANY))},
            }
        ]

    def test_of_the_children_of_a_row(self, server: Server) -> None:
        query = "{runs(orderBy: [{id: asc}]) {annotationsAggregate {aggregate {count}}}}"
        counts = [r["annotationsAggregate"]["aggregate"][0]["count"] for r in ask(server, query)["runs"]]
        assert counts == [MANY, 0, 0]


def post(server: Server, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(
        server.url, json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return answer.status, json.load(answer)


class TestErrors:
    @pytest.mark.parametrize(
        ("query", "message"),
        [
            ("{runs {nonsense}}", "Cannot query field 'nonsense' on type 'Run'"),
            ("{annotations(where: {methodType: {_eq: template_matching}}) {id}}", "template_matching"),
            ("{annotations(where: {objectNames: {_eq: 1}}) {id}}", "objectNames"),
            ("{runs {id}", "Syntax Error"),
            ("{runs(limitOffset: {offset: 3}) {id}}", "offset without limit"),
        ],
    )
    def test_are_http_200(self, server: Server, query: str, message: str) -> None:
        status, body = post(server, {"query": query})
        assert status == 200
        assert body["data"] is None
        assert message in body["errors"][0]["message"]

    def test_variables_are_checked_too(self, server: Server) -> None:
        query = "query($ids: [Int!]) {runs(where: {id: {_in: $ids}}) {id}}"
        assert post(server, {"query": query, "variables": {"ids": [2]}})[1] == {"data": {"runs": [{"id": 2}]}}
        assert "errors" in post(server, {"query": query, "variables": {"ids": ["two"]}})[1]


class TestFaults:
    """What each fault is to the client's transport, and that the request after it is well."""

    QUERY = "{runs(where: {id: {_eq: 1}}) {name}}"
    ANSWER: Mapping[str, Any] = {"runs": [{"name": "TS_1"}]}

    def befalls(self, fault: Fault, error: type[Exception]) -> str:
        with serve(small_tables(), faults=lambda number, _: fault if number == 1 else None) as faulty:
            with pytest.raises(error) as raised:
                ask(faulty, self.QUERY)
            assert ask(faulty, self.QUERY) == self.ANSWER
            assert (faulty.stats.requests, faulty.stats.failed) == (2, 1)
        return str(raised.value)

    def test_status(self) -> None:
        assert "502" in self.befalls(Status(502), TransportServerError)

    def test_graphql_error(self) -> None:
        assert "too busy" in self.befalls(ErrorBody("too busy"), TransportQueryError)

    def test_truncated_json(self) -> None:
        assert "Not a JSON answer" in self.befalls(Truncate(), TransportProtocolError)

    def test_connection_dropped_halfway(self) -> None:
        assert "IncompleteRead" in self.befalls(Drop(), TransportConnectionFailed)

    def test_the_transport_of_the_client_retries_a_502_itself(self) -> None:
        with serve(small_tables(), faults=lambda number, _: Status() if number % 3 else None) as faulty:
            assert ask(faulty, self.QUERY, retries=3) == self.ANSWER
            assert faulty.stats.requests == 3

    def test_a_fault_can_depend_on_the_query(self) -> None:
        with serve(small_tables(), faults=lambda _, query: ErrorBody() if "datasets" in query else None) as faulty:
            assert ask(faulty, self.QUERY) == self.ANSWER
            with pytest.raises(TransportQueryError):
                ask(faulty, "{datasets {id}}")

    def test_a_stall_is_only_late(self) -> None:
        with serve(small_tables(), faults=lambda *_: Stall(0.3)) as faulty:
            start = time.monotonic()
            assert ask(faulty, self.QUERY) == self.ANSWER
            assert time.monotonic() - start >= 0.3

    def test_a_stalled_request_does_not_keep_the_server_open(self) -> None:
        query = gql.gql(self.QUERY)
        with serve(small_tables(), faults=lambda *_: Stall(60)) as faulty:
            client = gql.Client(transport=RequestsHTTPTransport(url=faulty.url, timeout=0.1))
            with pytest.raises(TransportConnectionFailed):
                client.execute(query)
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(faulty.stats_url, timeout=5)


class TestStats:
    def test_count_what_was_served(self) -> None:
        with serve(small_tables()) as counting:
            query = "{runs {id annotations(first: 5) {edges {node {id}}}}}"
            body = post(counting, {"query": query})[1]
            rows = 3 + 5
            assert counting.stats.rows == rows
            assert counting.stats.queries == [query]
            with urllib.request.urlopen(counting.stats_url) as answer:
                numbers = json.load(answer)
        size = len(json.dumps(body, separators=(",", ":")))
        assert numbers == {"requests": 1, "failed": 0, "rows": rows, "bytes": size, "most_at_once": 1}

    def test_requests_overlap(self) -> None:
        with serve(small_tables(), latency=0.2) as slow:
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda _: post(slow, {"query": "{runs {id}}"}), range(4)))
            assert slow.stats.most_at_once > 1

    def test_one_after_the_other_is_one_at_once(self) -> None:
        with serve(small_tables()) as quick:
            for _ in range(20):
                ask(quick, "{runs {id}}")
            assert quick.stats.most_at_once == 1


class TestOfficialClient:
    def test_finds_rows(self, server: Server) -> None:
        client = cdp.Client(url=server.url)
        runs = cdp.Run.find(client, [cdp.Run.dataset_id == 10])
        assert sorted(r.name for r in runs) == ["TS_1", "TS_2"]
        chained = [cdp.Annotation.run.dataset.id == 10, cdp.Annotation.object_count < 3]
        found = cdp.Annotation.find(client, chained)
        assert sorted(a.id for a in found) == [1000, 1001, 1002]
        assert [a.method_type for a in found] == ["manual"] * 3
