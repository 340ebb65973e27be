"""The Croissant RAI vocabulary, in snake_case, and the form of each value.

A module of its own because the recipe model needs it and must not import mlcroissant for it; a test holds it equal to
the fields of mlcroissant's ``Metadata``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

RaiForm = Literal["text", "texts", "dates"]
"""One text, a list of texts, or a list of ISO dates."""

RAI_CONFORMS_TO = "http://mlcommons.org/croissant/RAI/1.0"

RAI_FIELDS: Mapping[str, RaiForm] = MappingProxyType(
    {
        "annotations_per_item": "text",
        "annotator_demographics": "texts",
        "data_annotation_analysis": "texts",
        "data_annotation_platform": "texts",
        "data_annotation_protocol": "texts",
        "data_biases": "texts",
        "data_collection": "text",
        "data_collection_missing_data": "text",
        "data_collection_raw_data": "text",
        "data_collection_timeframe": "dates",
        "data_collection_type": "texts",
        "data_imputation_protocol": "text",
        "data_limitations": "texts",
        "data_manipulation_protocol": "text",
        "data_preprocessing_protocol": "texts",
        "data_release_maintenance_plan": "text",
        "data_social_impact": "text",
        "data_use_cases": "texts",
        "machine_annotation_tools": "texts",
        "personal_sensitive_information": "texts",
    }
)
