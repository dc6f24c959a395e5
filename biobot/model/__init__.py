"""The byte-LSTM: its codec, its weights on disk, how it is trained and measured."""
