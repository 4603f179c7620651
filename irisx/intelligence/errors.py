"""Why a model gave no answer. All are 503: the request was right, what it needs is not there."""

from irisx.kernel.errors import TooManyRequests, Unavailable


class ProviderError(Unavailable):
    """A provider gave no usable answer; the message names it and may be shown to the tenant."""

    code = "AI_PROVIDER_FAILED"


class NotConfigured(ProviderError):
    """No configured provider can do this; the message names the setting."""

    code = "AI_NOT_CONFIGURED"


class ProviderUnreachable(ProviderError):
    code = "AI_PROVIDER_UNREACHABLE"


class ProviderTimeout(ProviderError):
    code = "AI_PROVIDER_TIMEOUT"


class ProviderRefused(ProviderError):
    """The provider refuses the key, the model or the request."""

    code = "AI_PROVIDER_REFUSED"


class ProviderBusy(ProviderError):
    """The provider's own rate limit or quota."""

    code = "AI_PROVIDER_BUSY"


class LimitReached(TooManyRequests):
    """The tenant's own limit for this month is used up."""

    code = "AI_LIMIT_REACHED"
