//! Content types by file name (contract, toolbox §11.14: parts of a bulk download).

use std::path::Path;

/// The type of what is usually in a file with this name.
pub(super) fn of(path: &str) -> &'static str {
    let extension = Path::new(path).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "htm" | "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "log" | "text" | "txt" => "text/plain; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "py" => "text/x-python; charset=utf-8",
        "xml" => "text/xml; charset=utf-8",
        "avif" => "image/avif",
        "gif" => "image/gif",
        "jpeg" | "jpg" => "image/jpeg",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "webp" => "image/webp",
        "ico" => "image/vnd.microsoft.icon",
        "mp3" => "audio/mpeg",
        "wav" => "audio/x-wav",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "gz" => "application/gzip",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "sh" => "application/x-sh",
        "tar" => "application/x-tar",
        "wasm" => "application/wasm",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_last_extension_counts() {
        let cases = [
            ("/d/f.PNG", "image/png"),
            ("f.tar.gz", "application/gzip"),
            ("f.txt", "text/plain; charset=utf-8"),
            ("noext", "application/octet-stream"),
            ("d.txt/noext", "application/octet-stream"),
            (".json", "application/octet-stream"),
            ("f.unknownext", "application/octet-stream"),
        ];
        for (path, expected) in cases {
            assert_eq!(super::of(path), expected, "{path}");
        }
    }
}
