"""IRISX: a telephony-first engine around FreeSWITCH's Event Socket."""

#: The version that the API reports; the specification's document version.
__version__ = "2.0.0"
