"""Generated messages and stubs of the aimass.v1 API. Edit the .proto files, then `make protos`."""
