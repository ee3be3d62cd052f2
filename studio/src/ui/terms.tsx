/** Under which terms a model may be used, in a word. */
import type { ModelInfo } from "../api";

/** "" for models that may be used in commercial programs, closed ones too. */
export function terms(model: ModelInfo): "" | "copyleft" | "non-commercial" {
  if (model.copyleft) return "copyleft";
  return model.commercial ? "" : "non-commercial";
}

const MEANING = {
  copyleft: "Commercial use is allowed, and what uses the model, services included, has to be open",
  "non-commercial": "Not for commercial use",
};

export function Terms({ model }: { model: ModelInfo }) {
  const word = terms(model);
  return word ? (
    <span class="tag warn" title={MEANING[word]}>
      {word}
    </span>
  ) : null;
}
