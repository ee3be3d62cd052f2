/** The form for the server's key. */
import { useEffect, useRef, useState } from "preact/hooks";
import { api } from "../api";
import { needsKey } from "../state";
import { start } from "../start";

export function SignIn() {
  const dialog = useRef<HTMLDialogElement>(null);
  const [key, setKey] = useState("");
  const [error, setError] = useState("");
  const wanted = needsKey.value;
  useEffect(() => {
    if (wanted && !dialog.current?.open) dialog.current?.showModal();
    if (!wanted) dialog.current?.close();
  }, [wanted]);
  const submit = async (event: Event) => {
    event.preventDefault();
    try {
      await api.session.signIn(key);
      setKey("");
      setError("");
      needsKey.value = false;
      await start();
    } catch (problem) {
      setError(problem instanceof Error ? problem.message : String(problem));
    }
  };
  return (
    <dialog ref={dialog} aria-labelledby="signin-title" onCancel={(event) => event.preventDefault()}>
      {wanted && (
        <form class="signin" onSubmit={submit}>
          <h1 id="signin-title">This server asks for a key</h1>
          <label>
            Key
            <input
              class="field"
              type="password"
              autocomplete="current-password"
              required
              value={key}
              onInput={(event) => setKey(event.currentTarget.value)}
              data-testid="key"
            />
          </label>
          {error && (
            <p role="alert" class="problem">
              {error}
            </p>
          )}
          <button class="button primary" type="submit" data-testid="sign-in">
            Sign in
          </button>
        </form>
      )}
    </dialog>
  );
}
