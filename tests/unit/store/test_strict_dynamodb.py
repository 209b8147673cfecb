"""The stand-in for DynamoDB refuses what Amazon's DynamoDB refuses, so that no test passes on a request that it would.

Where moto has the limit, too, the test runs on both.
"""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from botocore.exceptions import ClientError

from tests.fakes.stage import NAMES
from understudy.store import clients, table

pytestmark = pytest.mark.usefixtures("aws_stack")

TABLE = NAMES["table"]
KEY = {"pk": {"S": "team#blue"}, "sk": {"S": "video#1"}}
KB = 1024
both = pytest.mark.parametrize("table_engine", ["fakes", "moto"])


def item(sort: str = "video#1", byte_count: int = 0) -> dict[str, Any]:
    """An item of exactly so many bytes, or a small one."""
    found: dict[str, Any] = {"pk": {"S": "team#blue"}, "sk": {"S": sort}, "v": {"S": ""}}
    length = len("pk" + "team#blue" + "sk" + sort + "v")
    found["v"]["S"] = "x" * max(byte_count - length, 0)
    return found


def put(one: dict[str, Any], **more: Any) -> None:
    clients.dynamodb().put_item(TableName=TABLE, Item=one, **more)


def update(expression: str, **more: Any) -> None:
    clients.dynamodb().update_item(TableName=TABLE, Key=KEY, UpdateExpression=expression, **more)


def together(*writes: Any) -> None:
    clients.dynamodb().transact_write_items(TransactItems=list(writes))


def putting(one: dict[str, Any]) -> dict[str, Any]:
    return {"Put": {"TableName": TABLE, "Item": one}}


def rows() -> int:
    return len(list(table.each(table.Key("team#blue", ""), "video#")))


@pytest.fixture
def refused() -> Any:
    """A function that returns the context in which a ValidationException with these words is expected."""

    def refused(words: str = "") -> Any:
        return pytest.raises(ClientError, match=f"(?s)ValidationException.*{words}")

    return refused


class TestExpressions:
    def test_4_kb_at_most(self, refused: Any) -> None:
        def condition(length: int) -> str:
            text = "attribute_not_exists(pk)"
            return text + " " * (length - len(text))

        put(item(), ConditionExpression=condition(4 * KB))
        with refused("Expression size"):
            put(item("video#2"), ConditionExpression=condition(4 * KB + 1))
        with refused("Expression size"):
            update("SET a = :a" + " " * 4 * KB, ExpressionAttributeValues={":a": {"S": ""}})
        with refused("Expression size"):
            clients.dynamodb().query(
                TableName=TABLE,
                KeyConditionExpression="pk = :p" + " " * 4 * KB,
                ExpressionAttributeValues={":p": {"S": "team#blue"}},
            )

    def test_a_letter_of_two_bytes_counts_twice(self, refused: Any) -> None:
        with refused("Expression size"):
            put(item(), ConditionExpression="ü" * (2 * KB + 1))

    def test_300_operators_at_most(self, refused: Any) -> None:
        def condition(operators: int) -> str:
            return " OR ".join(["a = :a"] * ((operators + 1) // 2))

        values = {":a": {"S": ""}}
        with pytest.raises(ClientError, match="ConditionalCheckFailed"):
            put(item(), ConditionExpression=condition(299), ExpressionAttributeValues=values)
        with refused("too many operators"):
            put(item(), ConditionExpression=condition(301), ExpressionAttributeValues=values)

    def test_the_equals_of_a_set_is_no_operator(self, refused: Any) -> None:
        values = {":a": {"N": "1"}}
        update("SET " + ", ".join(f"a{i} = :a" for i in range(301)), ExpressionAttributeValues=values)
        update("SET a = :a" + " + :a" * 300, ExpressionAttributeValues=values)
        with refused("too many operators"):
            update("SET a = :a" + " + :a" * 301, ExpressionAttributeValues=values)

    def test_100_operands_of_in_at_most(self, refused: Any) -> None:
        def write(count: int) -> None:
            names = [f":v{i}" for i in range(count)]
            values = {name: {"S": name} for name in names}
            put(item(), ConditionExpression=f"v IN ({', '.join(names)})", ExpressionAttributeValues=values)

        with pytest.raises(ClientError, match="ConditionalCheckFailed"):
            write(100)
        with refused("IN operator"):
            write(101)

    @pytest.mark.parametrize(
        "more",
        [
            {"ExpressionAttributeNames": {"#a": "a", "#b": "b"}},
            {"ExpressionAttributeNames": {"#a": "a"}, "ExpressionAttributeValues": {":b": {"S": ""}}},
            {"ExpressionAttributeNames": {}},
        ],
    )
    def test_a_name_or_value_that_is_not_used(self, refused: Any, more: dict[str, Any]) -> None:
        with refused():
            put(item(), ConditionExpression="attribute_not_exists(#a)", **more)
        assert rows() == 0

    def test_names_without_an_expression(self, refused: Any) -> None:
        with refused():
            put(item(), ExpressionAttributeNames={"#a": "a"})

    def test_a_value_that_a_query_does_not_use(self, refused: Any) -> None:
        values = {":p": {"S": "team#blue"}, ":q": {"S": ""}}
        with refused("unused"):
            clients.dynamodb().query(
                TableName=TABLE, KeyConditionExpression="pk = :p", ExpressionAttributeValues=values
            )

    @both
    def test_a_key_cannot_be_changed(self, refused: Any) -> None:
        put(item())
        with refused("part of the key"):
            update("SET sk = :a", ExpressionAttributeValues={":a": {"S": "video#2"}})


class TestTransactions:
    @both
    def test_100_writes_at_most(self, refused: Any) -> None:
        with refused("less than or equal to 100"):
            together(*(putting(item(f"video#{i}")) for i in range(101)))
        together(*(putting(item(f"video#{i}")) for i in range(100)))
        assert rows() == 100

    def test_4_mb_at_most(self, refused: Any) -> None:
        size = 4 * KB * KB // 16
        with refused("4 MB"):
            together(*(putting(item(f"video#{i:02}", size)) for i in range(17)))
        assert rows() == 0
        together(*(putting(item(f"video#{i:02}", size)) for i in range(16)))

    @both
    def test_two_writes_to_one_item(self, refused: Any) -> None:
        with refused("multiple operations on one item"):
            together(putting(item()), {"Delete": {"TableName": TABLE, "Key": KEY}})

    def test_an_update_that_makes_an_item_too_large_writes_nothing(self) -> None:
        put(item())
        change = {
            "TableName": TABLE,
            "Key": KEY,
            "UpdateExpression": "SET w = :w",
            "ExpressionAttributeValues": {":w": {"S": "x" * 400 * KB}},
        }
        with pytest.raises(ClientError) as caught:
            together(putting(item("video#2")), {"Update": change})
        answer: Any = caught.value.response
        assert answer["Error"]["Code"] == "TransactionCanceledException"
        assert [reason["Code"] for reason in answer["CancellationReasons"]] == ["None", "ValidationError"]
        assert rows() == 1


class TestItems:
    def test_400_kb_at_most(self, refused: Any) -> None:
        put(item(byte_count=400 * KB))
        with refused("Item size"):
            put(item(byte_count=400 * KB + 1))

    @pytest.mark.parametrize(
        ("value", "size"),
        [
            ({"S": "ü"}, 2),
            ({"N": "1234"}, 3),
            ({"N": "-123.45"}, 4),
            ({"B": b"1234"}, 4),
            ({"BOOL": True}, 1),
            ({"NULL": True}, 1),
            ({"L": []}, 3),
            ({"L": [{"S": "ab"}, {"NULL": True}]}, 8),
            ({"M": {"ab": {"S": "cd"}}}, 8),
            ({"SS": ["ab", "c"]}, 3),
        ],
    )
    def test_what_a_value_counts(self, refused: Any, value: dict[str, Any], size: int) -> None:
        """Names count, too, with one byte here."""
        put(item(byte_count=400 * KB - 1 - size) | {"w": value})
        with refused("Item size"):
            put(item(byte_count=400 * KB - size) | {"w": value})

    def test_an_update_makes_no_larger_item(self, refused: Any) -> None:
        put(item(byte_count=300 * KB))
        with refused("Item size to update"):
            update("SET w = :w", ExpressionAttributeValues={":w": {"S": "x" * 101 * KB}})
        found = table.get(table.Key("team#blue", "video#1"))
        assert found
        assert "w" not in found


class TestKeys:
    @pytest.mark.parametrize("name", ["pk", "sk"])
    def test_no_key_is_empty(self, refused: Any, name: str) -> None:
        with refused():
            put(item() | {name: {"S": ""}})
        with refused():
            clients.dynamodb().get_item(TableName=TABLE, Key=KEY | {name: {"S": ""}})
        with refused():
            clients.dynamodb().delete_item(TableName=TABLE, Key=KEY | {name: {"S": ""}})
        with refused():
            together(putting(item() | {name: {"S": ""}}))

    @both
    @pytest.mark.parametrize(("name", "length"), [("pk", 2 * KB), ("sk", KB)])
    def test_a_key_has_a_longest_length(self, refused: Any, name: str, length: int) -> None:
        put(item() | {name: {"S": "x" * length}})
        with refused():
            put(item() | {name: {"S": "x" * (length + 1)}})


class TestIndex:
    """The index of unfinished jobs: its key is made of attributes of rows."""

    JOB: ClassVar[dict[str, Any]] = {"unfinished": {"S": "job"}, "created_at": {"N": "1"}}

    def query(self, **more: Any) -> dict[str, Any]:
        answer = clients.dynamodb().query(
            TableName=TABLE,
            IndexName="unfinished",
            KeyConditionExpression="unfinished = :u",
            ExpressionAttributeValues={":u": {"S": "job"}},
            **more,
        )
        return {**answer}

    @both
    @pytest.mark.parametrize("name", ["unfinished", "created_at"])
    def test_no_attribute_of_its_key_is_null(self, refused: Any, name: str) -> None:
        with refused("[Tt]ype"):
            put(item() | self.JOB | {name: {"NULL": True}})
        assert rows() == 0

    @pytest.mark.parametrize("wrong", [{"unfinished": {"N": "1"}}, {"created_at": {"S": "1"}}])
    def test_no_attribute_of_its_key_is_of_another_type(self, refused: Any, wrong: dict[str, Any]) -> None:
        with refused("[Tt]ype"):
            put(item() | self.JOB | wrong)
        assert rows() == 0

    @pytest.mark.parametrize("name", ["unfinished", "created_at"])
    def test_an_update_cannot_make_it_null(self, refused: Any, name: str) -> None:
        put(item() | self.JOB)
        with refused("[Tt]ype"):
            update(f"SET {name} = :n", ExpressionAttributeValues={":n": {"NULL": True}})
        assert len(self.query()["Items"]) == 1

    def test_nor_can_a_transaction(self, refused: Any) -> None:
        put(item() | self.JOB)
        change = {
            "TableName": TABLE,
            "Key": KEY,
            "UpdateExpression": "SET unfinished = :n",
            "ExpressionAttributeValues": {":n": {"NULL": True}},
        }
        with pytest.raises(ClientError):
            together(putting(item("video#2")), {"Update": change})
        assert rows() == 1
        with pytest.raises(ClientError):
            together(putting(item("video#2")), putting(item("video#3") | self.JOB | {"created_at": {"NULL": True}}))
        assert rows() == 1

    @both
    def test_a_row_with_half_of_its_key_is_not_in_it(self) -> None:
        put(item() | {"created_at": {"N": "1"}})
        put(item("video#2") | {"unfinished": {"S": "job"}})
        put(item("video#3") | self.JOB)
        assert [one["sk"]["S"] for one in self.query()["Items"]] == ["video#3"]

    @both
    def test_it_has_keys_only(self) -> None:
        put(item() | self.JOB | {"prompt": {"S": "x"}})
        (found,) = self.query()["Items"]
        assert found == KEY | self.JOB

    @both
    def test_no_read_of_it_is_consistent(self, refused: Any) -> None:
        with refused("[Cc]onsistent reads are not supported"):
            self.query(ConsistentRead=True)

    @both
    def test_numbers_sort_as_numbers(self) -> None:
        for number in ("10", "9", "100"):
            put(item(f"video#{number}") | self.JOB | {"created_at": {"N": number}})
        assert [one["created_at"]["N"] for one in self.query()["Items"]] == ["9", "10", "100"]

    def test_a_page_begins_after_a_whole_key_of_the_index(self, refused: Any) -> None:
        put(item() | self.JOB)
        with refused("starting key"):
            self.query(ExclusiveStartKey=KEY)


class TestPages:
    def query(self, **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = clients.dynamodb().query(
            TableName=TABLE,
            KeyConditionExpression="pk = :p",
            ExpressionAttributeValues={":p": {"S": "team#blue"}},
            **more,
        )
        return answer

    def test_a_page_has_1_mb_at_most(self) -> None:
        for i in range(9):
            put(item(f"video#{i}", 256 * KB))
        seen: list[str] = []
        more: dict[str, Any] = {}
        counts = []
        while True:
            answer = self.query(**more)
            seen += [one["sk"]["S"] for one in answer["Items"]]
            counts.append(len(answer["Items"]))
            if "LastEvaluatedKey" not in answer:
                break
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
        assert counts == [4, 4, 1]
        assert seen == [f"video#{i}" for i in range(9)]
        assert rows() == 9

    @both
    def test_a_full_page_says_where_it_ended(self) -> None:
        for i in range(3):
            put(item(f"video#{i}"))
        answer = self.query(Limit=2)
        assert len(answer["Items"]) == 2
        assert answer["LastEvaluatedKey"]["sk"] == {"S": "video#1"}
        assert "LastEvaluatedKey" not in self.query(Limit=4)
        assert self.query(Limit=2, ScanIndexForward=False)["LastEvaluatedKey"]["sk"] == {"S": "video#1"}
