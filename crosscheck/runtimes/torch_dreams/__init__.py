"""torch-dreams: pictures that excite a torch module's layers."""
