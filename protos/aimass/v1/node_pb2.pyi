from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class NodeState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NODE_STATE_UNSPECIFIED: _ClassVar[NodeState]
    NODE_STATE_READY: _ClassVar[NodeState]
    NODE_STATE_SUSPECT: _ClassVar[NodeState]
    NODE_STATE_LOST: _ClassVar[NodeState]
NODE_STATE_UNSPECIFIED: NodeState
NODE_STATE_READY: NodeState
NODE_STATE_SUSPECT: NodeState
NODE_STATE_LOST: NodeState

class Device(_message.Message):
    __slots__ = ("index", "uuid", "model", "memory_mib", "numa_node", "island", "pci_bus_id", "healthy", "health_detail", "used_milli", "jobs")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    UUID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MEMORY_MIB_FIELD_NUMBER: _ClassVar[int]
    NUMA_NODE_FIELD_NUMBER: _ClassVar[int]
    ISLAND_FIELD_NUMBER: _ClassVar[int]
    PCI_BUS_ID_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    HEALTH_DETAIL_FIELD_NUMBER: _ClassVar[int]
    USED_MILLI_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    index: int
    uuid: str
    model: str
    memory_mib: int
    numa_node: int
    island: int
    pci_bus_id: str
    healthy: bool
    health_detail: str
    used_milli: int
    jobs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, index: _Optional[int] = ..., uuid: _Optional[str] = ..., model: _Optional[str] = ..., memory_mib: _Optional[int] = ..., numa_node: _Optional[int] = ..., island: _Optional[int] = ..., pci_bus_id: _Optional[str] = ..., healthy: _Optional[bool] = ..., health_detail: _Optional[str] = ..., used_milli: _Optional[int] = ..., jobs: _Optional[_Iterable[str]] = ...) -> None: ...

class Inventory(_message.Message):
    __slots__ = ("hostname", "address", "cpu_milli", "memory_mib", "labels", "devices", "probe", "driver_version", "cuda_version", "taints", "links")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CPU_MILLI_FIELD_NUMBER: _ClassVar[int]
    MEMORY_MIB_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    DRIVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    CUDA_VERSION_FIELD_NUMBER: _ClassVar[int]
    TAINTS_FIELD_NUMBER: _ClassVar[int]
    LINKS_FIELD_NUMBER: _ClassVar[int]
    hostname: str
    address: str
    cpu_milli: int
    memory_mib: int
    labels: _containers.ScalarMap[str, str]
    devices: _containers.RepeatedCompositeFieldContainer[Device]
    probe: str
    driver_version: str
    cuda_version: str
    taints: _containers.RepeatedScalarFieldContainer[str]
    links: Links
    def __init__(self, hostname: _Optional[str] = ..., address: _Optional[str] = ..., cpu_milli: _Optional[int] = ..., memory_mib: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., devices: _Optional[_Iterable[_Union[Device, _Mapping]]] = ..., probe: _Optional[str] = ..., driver_version: _Optional[str] = ..., cuda_version: _Optional[str] = ..., taints: _Optional[_Iterable[str]] = ..., links: _Optional[_Union[Links, _Mapping]] = ...) -> None: ...

class Links(_message.Message):
    __slots__ = ("nvlinks", "pcie_switches")
    class Row(_message.Message):
        __slots__ = ("counts",)
        COUNTS_FIELD_NUMBER: _ClassVar[int]
        counts: _containers.RepeatedScalarFieldContainer[int]
        def __init__(self, counts: _Optional[_Iterable[int]] = ...) -> None: ...
    NVLINKS_FIELD_NUMBER: _ClassVar[int]
    PCIE_SWITCHES_FIELD_NUMBER: _ClassVar[int]
    nvlinks: _containers.RepeatedCompositeFieldContainer[Links.Row]
    pcie_switches: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, nvlinks: _Optional[_Iterable[_Union[Links.Row, _Mapping]]] = ..., pcie_switches: _Optional[_Iterable[int]] = ...) -> None: ...

class Node(_message.Message):
    __slots__ = ("id", "state", "reason", "inventory", "cpu_free_milli", "memory_free_mib", "shards", "generation", "boot_id", "incarnation", "agent_version", "since_ms", "cordon", "drain_ms", "windows")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    INVENTORY_FIELD_NUMBER: _ClassVar[int]
    CPU_FREE_MILLI_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FREE_MIB_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    CORDON_FIELD_NUMBER: _ClassVar[int]
    DRAIN_MS_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: NodeState
    reason: str
    inventory: Inventory
    cpu_free_milli: int
    memory_free_mib: int
    shards: int
    generation: int
    boot_id: str
    incarnation: int
    agent_version: str
    since_ms: int
    cordon: str
    drain_ms: int
    windows: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[NodeState, str]] = ..., reason: _Optional[str] = ..., inventory: _Optional[_Union[Inventory, _Mapping]] = ..., cpu_free_milli: _Optional[int] = ..., memory_free_mib: _Optional[int] = ..., shards: _Optional[int] = ..., generation: _Optional[int] = ..., boot_id: _Optional[str] = ..., incarnation: _Optional[int] = ..., agent_version: _Optional[str] = ..., since_ms: _Optional[int] = ..., cordon: _Optional[str] = ..., drain_ms: _Optional[int] = ..., windows: _Optional[_Iterable[str]] = ...) -> None: ...
