"""Registers the plugin for a checkout that is not installed."""

pytest_plugins = ["harness.plugin"]
