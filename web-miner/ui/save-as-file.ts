/** Lets the browser save a value as a JSON file of this name. Nothing leaves the page. */
export function saveAsFile(name: string, content: object): void {
  saveTextAsFile(name, JSON.stringify(content), 'application/json');
}

export function saveTextAsFile(name: string, text: string, type: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
