"""What answers the methods of a contract."""

import pytest

from modelyard.metadata.v1 import experiment_pb2, project_pb2
from services.metadata import converters
from services.metadata.adapters.memory import MemoryStore
from services.metadata.bootstrap import in_memory
from services.metadata.domain.entities import Project
from services.metadata.domain.records import Records
from services.metadata.servicer.aggregate import Aggregate, Standard


def test_every_service_of_the_contract_is_composed():
    names = {service.full_name for service in in_memory().services}

    assert {"modelyard.metadata.v1.ProjectService", "modelyard.metadata.v1.AccountService"} <= names
    assert len(names) == len(in_memory().services) == 15


def test_standard_methods_are_those_of_the_contract():
    service = project_pb2.DESCRIPTOR.services_by_name["ProjectService"]
    aggregate = Aggregate(service, Standard(Records(Project, MemoryStore()), converters.PROJECT))

    assert all(callable(getattr(aggregate, method.name)) for method in service.methods)


def test_method_that_nothing_answers_is_found_at_the_start():
    service = experiment_pb2.DESCRIPTOR.services_by_name["ExperimentService"]
    with pytest.raises(NotImplementedError, match="CreateExperiment"):
        Aggregate(service, Standard(Records(Project, MemoryStore()), converters.PROJECT))
