"""vLLM as what samples replacement responses, see `source`."""
