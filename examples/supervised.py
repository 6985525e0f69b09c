"""Supervised fine-tuning with the official SDK: teach a model to answer, watch the loss fall, save it, ask it.

    pip install baseten-loops                          (Python 3.12 or newer)
    loops-nb serve                                     (in another terminal: the local service, no key, no GPU)
    LOOPS_BASE_URL=http://127.0.0.1:8787 BASETEN_API_KEY=$(loops-nb token) python supervised.py

On the hosted service: no LOOPS_BASE_URL, your own key, and LOOPS_BASE_MODEL naming a model, as Qwen/Qwen3-8B.
"""

from __future__ import annotations

import os
from typing import Any

from baseten.loops import AdamParams, Datum, ModelInput, SamplingParams, ServiceClient, TensorData

BASE_MODEL = os.environ.get("LOOPS_BASE_MODEL", "loops-local/tiny")
STEPS = int(os.environ.get("LOOPS_STEPS", "60"))
LEARNING_RATE = float(os.environ.get("LOOPS_LEARNING_RATE", "0.004"))
ANSWERS = {
    "What is the capital of France?": "Paris",
    "How many legs has a spider?": "eight",
    "What colour is a ripe lemon?": "yellow",
    "Who wrote Hamlet?": "Shakespeare",
}


def prompt_of(question: str) -> str:
    """Return a question as the model sees it."""
    return f"Q: {question}\nA:"


def training_example(tokenizer: Any, question: str, answer: str) -> Datum:
    """Return one example: the answer is learnt, the question is only read."""
    prompt = tokenizer.encode(prompt_of(question), add_special_tokens=False)
    wanted = tokenizer.encode(f" {answer}\n", add_special_tokens=False)
    tokens = prompt + wanted
    # Each position predicts the next one; -100 hides those that predict the question.
    targets = [-100] * (len(prompt) - 1) + wanted
    return Datum(
        model_input=ModelInput.from_ints(tokens[:-1]),
        loss_fn_inputs={"target_tokens": TensorData(data=targets, dtype="int64", shape=[len(targets)])},
    )


def ask(sampler: Any, tokenizer: Any, question: str) -> str:
    """Return the model's answer, its likeliest words."""
    prompt = ModelInput.from_ints(tokenizer.encode(prompt_of(question), add_special_tokens=False))
    answer = sampler.sample(prompt, sampling_params=SamplingParams(max_tokens=16, temperature=0.0))
    text: str = tokenizer.decode(answer.sequences[0].tokens, skip_special_tokens=True)
    return text.partition("\n")[0].strip()


def main() -> None:
    """Train, save, ask."""
    service = ServiceClient()
    client = service.create_lora_training_client(
        BASE_MODEL, rank=16, seed=0, name="supervised example", with_sampler=True
    )
    tokenizer = client.get_tokenizer()
    examples = [training_example(tokenizer, question, answer) for question, answer in ANSWERS.items()]

    before = client.save_weights_and_get_sampling_client("before")
    print(f"run {client.run_id}: before training it says {ask(before, tokenizer, next(iter(ANSWERS)))!r}")
    for step in range(1, STEPS + 1):
        # Both are on their way before the first is waited for.
        forward = client.forward_backward(examples)
        optim = client.optim_step(AdamParams(learning_rate=LEARNING_RATE))
        loss = forward.result().loss
        optim.result()
        if step == 1 or step % 10 == 0:
            print(f"step {step:3d}  loss {loss:.4f}")

    saved = client.save_state("trained").result()
    print(f"saved as {saved.path}")
    after = client.save_weights_and_get_sampling_client("trained")
    for question, answer in ANSWERS.items():
        said = ask(after, tokenizer, question)
        print(f"{'right' if said == answer else 'wrong'}: {question} {said}")
    client.close()


if __name__ == "__main__":
    main()
