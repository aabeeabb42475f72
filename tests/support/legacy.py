"""Weights files as Keras publishes them."""

import h5py


def save_legacy(network, path):
    """Save a network's weights in the HDF5 format of keras.applications' own
    downloads."""
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, network)
