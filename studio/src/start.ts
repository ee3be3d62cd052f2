/** The beginning: who may use the server, which models it has. */
import { api, ApiError, httpEvents, live, pause } from "./api";
import { current, fail, model, models, needsKey, notice, say } from "./state";
import { ready } from "./pictures/upload";

httpEvents.signIn = () => (needsKey.value = true);
let quiet = 0;
httpEvents.busy = (seconds) => {
  notice.value = `The server is busy; trying again in ${Math.ceil(seconds)} s`;
  say(`${notice.value}.`);
  clearTimeout(quiet);
  quiet = window.setTimeout(() => (notice.value = ""), seconds * 1000 + 500);
};

/** Asks for the session and the models; again after signing in. */
export async function start(): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      const session = await api.session.get();
      if (session.needs_key && !session.signed_in) return void (needsKey.value = true);
      const all = await api.models();
      models.value = all;
      model.value ??= all.segment;
      live.open();
      const picture = current.value;
      if (picture && picture.status.value !== "ready") await ready(picture).catch(() => {});
      return;
    } catch (error) {
      // A page that was opened before its server is up, or while it starts again.
      if (!(error instanceof ApiError) || error.status !== 0) return fail(error);
      notice.value = "The server cannot be reached; trying again";
      await pause(Math.min(5000, 500 * 2 ** attempt));
      notice.value = "";
    }
  }
}
