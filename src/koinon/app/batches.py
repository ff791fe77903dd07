"""Deferred mode, put together: what a web process takes, and what the worker does."""

import asyncio
from collections.abc import Mapping

from koinon.app.wiring import Platform, keep_releasing
from koinon.base.errors import NotFound
from koinon.base.settings import Settings
from koinon.integrator.deferred import Bulk, Computation, Deferred, Interactive, Runner, SealedObjects
from koinon.integrator.deferred.bulk_settings import INPUTS, open_bulk_sources, read_bulk_settings
from koinon.integrator.deferred.data_sets import DataSetOrders
from koinon.integrator.processing.service import Processing


def deferred_of(platform: Platform) -> Deferred:
    """The use cases of deferred mode in this process."""
    sealed = SealedObjects.load(platform.objects, platform.settings.home)
    return Deferred(platform.integrator, platform.objects, sealed)


def computations_of(platform: Platform) -> Mapping[str, Computation]:
    """How each flow that has record types is answered in batch: from deliveries of its sources where `bulk.toml` names
    them, else over the sources that answer one person too.
    """
    found: dict[str, Computation] = {}
    deliveries = read_bulk_settings(platform.settings.home)
    for flow in platform.integrator.flows.values():
        try:
            found[flow.name] = Interactive(flow, platform.integrator.sources)
            if flow.name in deliveries:
                from koinon.integrator.entitlement.social_dwelling.tables import ADMISSION_TABLES, RENT_TABLES

                tables = {each.name: each for each in (ADMISSION_TABLES, RENT_TABLES)}[flow.name]
                sources = open_bulk_sources(deliveries[flow.name])
                found[flow.name] = Bulk(flow, tables, INPUTS[flow.name], sources)
        except NotFound:
            continue  # no record types are declared: it is not asked in batch
    return found


def data_set_orders_of(platform: Platform, processing: Processing) -> DataSetOrders:
    """Orders of data sets in this process."""
    return DataSetOrders(
        database=platform.database,
        processing=processing,
        gate=platform.gate,
        sealed=SealedObjects.load(platform.objects, platform.settings.home),
        flows=platform.integrator.flows,
    )


def processing_of(platform: Platform) -> Processing:
    """Data sets and what is published of them, in this process."""
    return Processing(
        database=platform.database,
        sealer=platform.sealer,
        objects=platform.objects,
        clock=platform.clock,
        home=platform.settings.home,
        keeper=platform.keeper,
    )


def runner_of(platform: Platform, *, concurrency: int) -> Runner:
    """What does batches in this process, so many chunks at once."""
    return Runner(
        database=platform.database,
        gate=platform.gate,
        uses=platform.uses,
        sealed=SealedObjects.load(platform.objects, platform.settings.home),
        computations=computations_of(platform),
        key=platform.key,
        concurrency=concurrency,
    )


async def run_batches(settings: Settings) -> None:
    """Batches are done until this is cancelled."""

    async def run(platform: Platform) -> None:
        # Three at once: one waits for the database or the disk while two fill the cores.
        runner = runner_of(platform, concurrency=3)
        orders = data_set_orders_of(platform, processing_of(platform))
        async with asyncio.TaskGroup() as group:
            group.create_task(runner.run(), name="batches-run")
            group.create_task(orders.run(), name="batches-data-sets")

    await keep_releasing(settings, "batches", run)
