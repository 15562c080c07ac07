"""Arguments of the plugins' functions, by kind, in order; ``plugins.base`` specifies them."""

ARGUMENTS = {
    "loss": "out y weight hp grad",
    "penalty": "theta layout strength hp constants work grad",
    "prox": "theta layout step hp constants work",
    "alignment": "theta hs ht ys yt strength hp work rng dhs dht grad",
    "weighting": "losses n_labels gram step steps_per_epoch hp state rng weights",
    "optimizer": "theta grad state lr step hp",
    "catch_up": "theta grad state rows since width first step decay lr hp work",
    "forward": "theta x hp work out",
    "backward": "theta x hp work dout grad",
    "forward_csr": "theta values indices indptr rows hp work out",
    "backward_csr": "theta values indices indptr rows hp work dout grad",
}
