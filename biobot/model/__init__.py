"""The byte-LSTM: its codec, its layers, its checkpoints, its training and its measure."""
