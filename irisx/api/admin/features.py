"""`/admin/features`: which areas of the API are switched on, for all and for each tenant."""

from typing import Any

from pydantic import Field

from irisx.api.auth import ADMIN
from irisx.api.http import Router
from irisx.api.numbers import TenantId
from irisx.api.schemas import Answer, Body, Success
from irisx.tenancy import features
from irisx.tenancy.access import Admin

router = Router("Feature Flags")


class Feature(Answer):
    id: str = Field(validation_alias="key")
    description: str
    enabled: bool


class TenantFeature(Feature):
    own: bool = Field(description="The tenant has a choice of its own.")


class Features(Answer):
    features: list[Feature]


class TenantFeatures(Answer):
    features: list[TenantFeature]


class FeatureChange(Body):
    enabled: bool


class TenantFeatureChange(Body):
    features: dict[str, bool] = Field(max_length=100, examples=[{"recordings": False}])


@router.get("/admin/features", access=ADMIN, answer=Success[Features])
def admin_list_features() -> dict[str, Any]:
    """List feature flags as they are for tenants without a choice of their own."""
    return {"data": {"features": features.flags()}}


@router.put("/admin/features/<feature_id>", access=ADMIN, answer=Feature)
def admin_update_feature(caller: Admin, feature_id: str, body: FeatureChange) -> features.Flag:
    """Update a feature flag for all tenants without a choice of their own."""
    return features.set_default(caller, feature_id, body.enabled)


@router.get("/admin/features/tenant/<tenant_id>", access=ADMIN, answer=Success[TenantFeatures])
def admin_list_tenant_features(tenant_id: TenantId) -> dict[str, Any]:
    """Tenant features."""
    return {"data": {"features": features.flags(tenant_id)}}


@router.put("/admin/features/tenant/<tenant_id>", access=ADMIN, answer=Success[TenantFeatures])
def admin_update_tenant_features(
    caller: Admin, tenant_id: TenantId, body: TenantFeatureChange
) -> dict[str, Any]:
    """Update tenant features; those not named stay."""
    return {"data": {"features": features.set_for_tenant(caller, tenant_id, body.features)}}
