"""Backbones: an image in, named feature maps out.

from backbones import create_backbone, mobilenet_v3_large
features = mobilenet_v3_large(weights="imagenet")(images)      # {"c1": ..., ..., "c5": ...}
"""

from backbones.encoders import register_encoders
from backbones.factory import (
    build_backbone,
    create_backbone,
    create_table,
    mnasnet_a1,
    mnasnet_b1,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3_large,
    mobilenet_v3_small,
    table_from_dict,
    table_options,
)
from backbones.keys import torchvision_state_dict
from backbones.load import LoadReport, load_weights
from backbones.mobilenet import Backbone
from backbones.options import BackboneOptions
from backbones.papers import (
    TABLES,
    mnasnet_a1_table,
    mnasnet_b1_table,
    mobilenet_v1_table,
    mobilenet_v2_table,
    mobilenet_v3_table,
)
from backbones.pretrained import start_normalisation
from backbones.publish import push_to_hub
from backbones.tables import BackboneError, Row, Table
from backbones.taps import Tapped
from backbones.timm_backbone import TimmBackbone, TimmTable

__all__ = [
    "TABLES",
    "Backbone",
    "BackboneError",
    "BackboneOptions",
    "LoadReport",
    "Row",
    "Table",
    "Tapped",
    "TimmBackbone",
    "TimmTable",
    "build_backbone",
    "create_backbone",
    "create_table",
    "load_weights",
    "mnasnet_a1",
    "mnasnet_a1_table",
    "mnasnet_b1",
    "mnasnet_b1_table",
    "mobilenet_v1",
    "mobilenet_v1_table",
    "mobilenet_v2",
    "mobilenet_v2_table",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "mobilenet_v3_table",
    "push_to_hub",
    "register_encoders",
    "start_normalisation",
    "table_from_dict",
    "table_options",
    "torchvision_state_dict",
]
