"""Transformations of the intermediate representation: functions from program to program."""
