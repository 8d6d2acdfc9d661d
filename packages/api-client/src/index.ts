// The client
export { createApiClient } from "./api-client.ts";
export type { ApiCallOptions, ApiClient, ApiClientOptions, ApiPage } from "./api-client.ts";

// What the API answers with, beyond the Cloud API's own objects
export { about } from "./about.ts";
export type { About } from "./about.ts";
