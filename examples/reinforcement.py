"""Reinforcement learning with the official SDK: sample, score, reinforce what scored above its group.

The reward here is the share of vowels in a completion.  The model starts with few and learns to write little else.

    pip install baseten-loops                          (Python 3.12 or newer)
    loops-nb serve                                     (in another terminal: the local service, no key, no GPU)
    LOOPS_BASE_URL=http://127.0.0.1:8787 BASETEN_API_KEY=$(loops-nb token) python reinforcement.py

On the hosted service: no LOOPS_BASE_URL, your own key, and LOOPS_BASE_MODEL naming a model, as Qwen/Qwen3-8B.
"""

from __future__ import annotations

import os
import statistics
from typing import Any

from baseten.loops import AdamParams, Datum, ModelInput, SamplingParams, ServiceClient, TensorData

BASE_MODEL = os.environ.get("LOOPS_BASE_MODEL", "loops-local/tiny")
STEPS = int(os.environ.get("LOOPS_STEPS", "24"))
LEARNING_RATE = float(os.environ.get("LOOPS_LEARNING_RATE", "0.006"))
PROMPT = "Sing: "
GROUP = 32
LENGTH = 24


def reward(text: str) -> float:
    """Return the share of vowels, from 0 to 1."""
    return sum(letter in "aeiou" for letter in text) / LENGTH


def experience(prompt: list[int], sequence: Any, advantage: float) -> Datum:
    """Return the datum of one completion: its tokens, their sampling logprobs, and its advantage."""
    tokens = prompt + sequence.tokens
    unsampled = [0.0] * (len(prompt) - 1)

    def row(data: list[Any], dtype: str = "float32") -> TensorData:
        return TensorData(data=data, dtype=dtype, shape=[len(data)])

    return Datum(
        model_input=ModelInput.from_ints(tokens[:-1]),
        loss_fn_inputs={
            "target_tokens": row(tokens[1:], "int64"),
            "logprobs": row(unsampled + sequence.logprobs),
            "advantages": row(unsampled + [advantage] * len(sequence.tokens)),
        },
    )


def main() -> None:
    """Improve the policy, round by round."""
    service = ServiceClient()
    client = service.create_lora_training_client(
        BASE_MODEL, rank=16, seed=0, name="reinforcement example", with_sampler=True
    )
    tokenizer = client.get_tokenizer()
    prompt = tokenizer.encode(PROMPT, add_special_tokens=False)

    for step in range(1, STEPS + 1):
        # The sampler has the weights of the last step from here on: the group is on-policy.
        sampler = client.save_weights_and_get_sampling_client("policy")
        params = SamplingParams(max_tokens=LENGTH, temperature=1.0, seed=step)
        group = sampler.sample(ModelInput.from_ints(prompt), num_samples=GROUP, sampling_params=params).sequences
        sampler.close()
        texts = [tokenizer.decode(sequence.tokens, skip_special_tokens=True) for sequence in group]
        rewards = [reward(text) for text in texts]
        mean, spread = statistics.fmean(rewards), statistics.pstdev(rewards)
        print(f"step {step:3d}  reward {mean:.3f}  best {max(zip(rewards, texts, strict=True))[1]!r}", flush=True)
        if spread > 0:
            data = [
                experience(prompt, sequence, (score - mean) / spread)
                for sequence, score in zip(group, rewards, strict=True)
                if sequence.tokens
            ]
            forward = client.forward_backward(data, "importance_sampling")
            optim = client.optim_step(AdamParams(learning_rate=LEARNING_RATE))
            forward.result()
            optim.result()

    print(f"saved as {client.save_state('trained').result().path}")
    client.close()


if __name__ == "__main__":
    main()
