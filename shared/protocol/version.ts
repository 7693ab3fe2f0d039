/** The one version that this build speaks. Fields may be added within a version, never repurposed. */
export const PROTOCOL_VERSION = 3;
