"""Simulated registers of tenancies, taxis, declared work and recognitions, over JSON."""

from koinon.demo.sources.registers.app import RegistersSource

__all__ = ["RegistersSource"]
