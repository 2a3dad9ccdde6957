"""The API's routes, one module a thing that they are about; each checks, calls a capability, and answers."""
