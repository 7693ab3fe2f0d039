/**
 * What a download fails by. `damaged`: somebody sent something else than the catalogue says. `unreachable`: nobody sent it. `catalogue`: there is no such
 * model here.
 */
export type DownloadFault = 'damaged' | 'unreachable' | 'catalogue';

export class ModelDownloadError extends Error {
  override readonly name = 'ModelDownloadError';
  readonly fault: DownloadFault;

  constructor(message: string, fault: DownloadFault = 'catalogue') {
    super(message);
    this.fault = fault;
  }
}
