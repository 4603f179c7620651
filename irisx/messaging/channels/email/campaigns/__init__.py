"""Campaigns: one email to everybody on some lists.

`service` is what people do with a campaign, `stepping` what the worker does with it, `recipients`
how contacts become recipients and recipients messages, `statistics` what came of it.
"""
