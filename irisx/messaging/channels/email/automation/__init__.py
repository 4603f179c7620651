"""Automation: what is done with a contact, step by step, after something has happened.

`steps` is what a workflow can be made of, `service` what people do with workflows and rules,
`entering` how contacts come into one, `running` how the worker takes each from step to step.
A rule is a workflow without waits: an event, conditions and actions.
"""
