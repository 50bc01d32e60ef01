"""What a search maximises: accuracy, weighed against latency (MnasNet, arXiv 1807.11626, Section 3)."""

TRADE = -0.07  # doubling the latency costs 5 % of the accuracy, as models of one family have it


def reward(accuracy: float, price: float, target: float, alpha: float = TRADE, beta: float = TRADE) -> float:
    """accuracy * (price / target) ** w, where w is `alpha` up to the target and `beta` beyond.

    Equal ones make the target a soft one, and the search finds networks all around it; alpha 0 and beta -1 a hard one.

    Args:
        accuracy: 0 to 1.
        price: such as milliseconds, above 0.
        target: of the price, above 0.
        alpha: from 0 down.
        beta: likewise.
    """
    return accuracy * (price / target) ** (alpha if price <= target else beta)
