"""Events of OpenLineage about loads and builds, for a catalogue of data flows; nothing waits for who receives them."""
