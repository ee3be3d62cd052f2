/** The server, as the rest of the studio sees it: `api.predict(...)`, `api.projects.save(...)`, `live.ask(...)`. */
import { LiveClient } from "./api/live";

export * as api from "./api/client";
export { ApiError, httpEvents, isAbort, pause } from "./api/http";
export type * from "./api/types";
export type { LiveStatus } from "./api/live";

/** The one live connection of the page. */
export const live = new LiveClient();
