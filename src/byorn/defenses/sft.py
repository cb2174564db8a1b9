"""`sft`: no defense. Plain supervised fine-tuning on all rows, poisoned ones included.

Formula: R = -(1/T) sum_i sum_l ln p_theta(y_il | y_i<l, x_i, q_i), the responses as they are.
Cost: none.
Source: the undefended row of every table; TRL's SFTTrainer bit for bit.
"""

from byorn.defenses.plan import Case, Plan, trust_all


def sft(case: Case) -> Plan:
    """Trust every row."""
    return Plan(flags=trust_all(case.rows))
