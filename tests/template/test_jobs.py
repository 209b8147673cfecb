"""The state machine that drives jobs, who starts it, and what looks after jobs that it does not drive."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.template.conftest import Resources, of_type, rights

MACHINE = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:${AWS::StackName}-jobs"
EXECUTIONS = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:${AWS::StackName}-jobs:*"
STARTS_EXECUTIONS = {
    *("create_video", "remix_video", "edit_video", "extend_video", "ingest_upload"),
    *("get_video", "get_content"),  # of a video that a caller brings, or of a job that was never driven
    *("delete_video", "delete_character", "create_character", "run_job"),  # what is deleted at a provider
    "sweep_jobs",
}

Definition = dict[str, Any]


@pytest.fixture(scope="module")
def machine(resources: Resources) -> dict[str, Any]:
    """The properties of the state machine."""
    (machine,) = of_type(resources, "AWS::StepFunctions::StateMachine").values()
    return machine


@pytest.fixture(scope="module")
def definition(machine: dict[str, Any]) -> Definition:
    """The definition of the state machine, as CloudFormation gets it."""
    separator, lines = machine["DefinitionString"]["Fn::Join"]
    definition: Definition = json.loads(separator.join(lines))
    return definition


@pytest.fixture(scope="module")
def tasks(definition: Definition) -> dict[str, Definition]:
    return {name: state for name, state in definition["States"].items() if state["Type"] == "Task"}


def _next(state: Definition) -> set[str]:
    """Return the states that may come after a state."""
    found = {state[name] for name in ("Next", "Default") if name in state}
    found |= {choice["Next"] for choice in state.get("Choices", [])}
    return found | {catcher["Next"] for catcher in state.get("Catch", [])}


def test_an_execution_waits_first(definition: Definition) -> None:
    """The row of a job is written after its execution has been started."""
    first = definition["States"][definition["StartAt"]]
    assert first == {"Type": "Wait", "SecondsPath": "$.next.seconds", "Next": "Step"}


def test_every_state_is_reached_and_leads_to_one_that_exists(definition: Definition) -> None:
    reached, ahead = set(), {definition["StartAt"]}
    while ahead:
        name = ahead.pop()
        reached.add(name)
        ahead |= _next(definition["States"][name]) - reached
    assert reached == set(definition["States"])


def test_from_every_state_an_execution_can_end(definition: Definition) -> None:
    ends = {name for name, state in definition["States"].items() if state["Type"] in {"Succeed", "Fail"}}
    while more := {name for name, state in definition["States"].items() if _next(state) & ends} - ends:
        ends |= more
    assert ends == set(definition["States"])


def test_only_run_job_is_called(machine: dict[str, Any], tasks: dict[str, Definition]) -> None:
    called = {machine["DefinitionSubstitutions"][task["Resource"][2:-1]]["Fn::GetAtt"][0] for task in tasks.values()}
    assert set(tasks) == {"Step", "Close"}
    assert called == {"RunJobFunction"}


def test_no_step_is_repeated_while_it_runs(tasks: dict[str, Definition], functions: Resources) -> None:
    for name, task in tasks.items():
        assert task["TimeoutSeconds"] > functions["run_job"]["Timeout"], name


def test_every_step_is_repeated_if_it_fails(tasks: dict[str, Definition]) -> None:
    """`States.ALL` stands alone and last: Step Functions refuses any other definition."""
    for name, task in tasks.items():
        errors = [retrier["ErrorEquals"] for retrier in task["Retry"]]
        assert errors[-1] == ["States.ALL"], name
        assert all("States.ALL" not in one for one in errors[:-1]), name
        assert len(task["Retry"]) > 1, name
        for retrier in task["Retry"]:
            assert retrier["IntervalSeconds"] >= 1, name
            assert retrier["BackoffRate"] > 1, name
            assert retrier["MaxDelaySeconds"] <= 900, name


def test_a_lambda_without_room_is_asked_for_longer_than_a_step_that_fails(tasks: dict[str, Definition]) -> None:
    for name, task in tasks.items():
        busy, anything = task["Retry"]
        assert "Lambda.TooManyRequestsException" in busy["ErrorEquals"], name
        assert _patience(busy) / 2 > _patience(anything), name  # FULL jitter takes half of each pause on average
        assert _patience(anything) > 1800, name


def _patience(retrier: dict[str, Any]) -> float:
    """Return the seconds for which a retrier repeats a step, without jitter and without the steps themselves."""
    pauses = (retrier["IntervalSeconds"] * retrier["BackoffRate"] ** n for n in range(retrier["MaxAttempts"]))
    return sum(min(pause, retrier["MaxDelaySeconds"]) for pause in pauses)


def test_a_job_whose_step_keeps_failing_is_closed_and_the_execution_fails(definition: Definition) -> None:
    states = definition["States"]
    assert states["Step"]["Catch"] == [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Close"}]
    assert states["Close"]["Parameters"] == {"close.$": "$"}
    assert states[states["Close"]["Next"]]["Type"] == "Fail"
    assert "Catch" not in states["Close"]  # what cannot be closed fails: sweep_jobs is told


def test_an_execution_ends_only_if_run_job_says_so(definition: Definition) -> None:
    states = definition["States"]
    decides = states[states["Step"]["Next"]]
    (choice,) = decides["Choices"]
    assert choice == {"Variable": "$.next.done", "BooleanEquals": True, "Next": "Done"}
    assert states["Done"]["Type"] == "Succeed"
    assert decides["Default"] == definition["StartAt"]


def test_a_step_changes_only_its_own_part_of_the_state(tasks: dict[str, Definition]) -> None:
    """What the execution was started with stays, so that each step knows its job."""
    assert {name: task["ResultPath"] for name, task in tasks.items()} == {"Step": "$.next", "Close": "$.closed"}


def test_an_execution_lives_for_days_and_not_for_ever(definition: Definition) -> None:
    assert 2 * 86_400 < definition["TimeoutSeconds"] <= 14 * 86_400


def test_a_standard_machine_because_jobs_take_longer_than_five_minutes(machine: dict[str, Any]) -> None:
    assert machine["StateMachineType"] == "STANDARD"


def test_the_functions_know_the_machine_by_its_name(machine: dict[str, Any], functions: Resources) -> None:
    name = machine["StateMachineName"]["Fn::Sub"]
    for function in functions.values():
        assert function["Environment"]["Variables"]["JOB_MACHINE"] == {"Fn::Sub": MACHINE}
    assert MACHINE.endswith(f":{name}")


def test_the_machine_takes_its_role_and_may_call_run_job_and_nothing_else(
    machine: dict[str, Any], resources: Resources
) -> None:
    role = resources[machine["RoleArn"]["Fn::GetAtt"][0]]["Properties"]
    (trusted,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trusted["Principal"] == {"Service": ["states.amazonaws.com"]}
    assert role["PermissionsBoundary"] == {"Ref": "Boundary"}
    assert role["ManagedPolicyArns"] == [{"Ref": "CanRunJobs"}]
    assert not role.get("Policies")
    (statement,) = resources["CanRunJobs"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "lambda:InvokeFunction"
    assert statement["Resource"] == {"Fn::GetAtt": ["RunJobFunction", "Arn"]}


def test_no_function_may_call_run_job(roles: Resources) -> None:
    assert {name for name, role in roles.items() if "CanRunJobs" in rights(role)} == set()


def test_who_may_start_executions(roles: Resources, resources: Resources) -> None:
    assert {name for name, role in roles.items() if "CanStartJobs" in rights(role)} == STARTS_EXECUTIONS
    (statement,) = resources["CanStartJobs"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "states:StartExecution"
    assert statement["Resource"] == {"Fn::Sub": MACHINE}


def test_only_the_sweep_sees_which_jobs_have_not_ended(roles: Resources, resources: Resources) -> None:
    """Its own rights are a query of the index and a look at executions. It changes neither."""
    assert {name for name, role in roles.items() if "CanSweepJobs" in rights(role)} == {"sweep_jobs"}
    query, look = resources["CanSweepJobs"]["Properties"]["PolicyDocument"]["Statement"]
    assert (query["Action"], query["Resource"]) == ("dynamodb:Query", {"Fn::Sub": "${Table.Arn}/index/unfinished"})
    assert (look["Action"], look["Resource"]) == ("states:DescribeExecution", {"Fn::Sub": EXECUTIONS})


def test_the_sweep_calls_no_provider_and_reads_no_credential(roles: Resources) -> None:
    assert rights(roles["sweep_jobs"]) == {"CanWriteTable", "CanStartJobs", "CanSweepJobs", "CanDeleteCharacters"}


def test_the_sweep_runs_every_hour_and_when_an_execution_of_this_machine_has_failed(resources: Resources) -> None:
    rules = of_type(resources, "AWS::Events::Rule")
    hourly, ended = (rules[f"SweepJobsFunction{name}"] for name in ("Hourly", "Ended"))
    assert len(rules) == 2
    assert hourly["ScheduleExpression"] == "rate(1 hour)"
    assert ended["EventPattern"] == {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {"status": ["FAILED", "TIMED_OUT", "ABORTED"], "stateMachineArn": [{"Ref": "JobMachine"}]},
    }
    for rule in (hourly, ended):
        assert [target["Arn"] for target in rule["Targets"]] == [{"Fn::GetAtt": ["SweepJobsFunction", "Arn"]}]
        assert rule.get("State", "ENABLED") == "ENABLED"


def test_the_index_has_keys_only_and_the_oldest_job_first(resources: Resources) -> None:
    """A job's prompt and files stay in its row. The index is sparse: only jobs that have not ended are in it."""
    (index,) = resources["Table"]["Properties"]["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "unfinished"
    assert [(key["AttributeName"], key["KeyType"]) for key in index["KeySchema"]] == [
        ("unfinished", "HASH"),
        ("created_at", "RANGE"),
    ]
    assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"}


def test_run_job_has_no_limit_unless_the_operator_sets_one(functions: Resources, template: dict[str, Any]) -> None:
    reserved = functions["run_job"]["ReservedConcurrentExecutions"]
    assert reserved == {"Fn::If": ["LimitsRunJob", {"Ref": "RunJobConcurrency"}, {"Ref": "AWS::NoValue"}]}
    assert template["Parameters"]["RunJobConcurrency"]["Default"] == 0
