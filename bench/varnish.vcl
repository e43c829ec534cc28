# Varnish, with the key checked in VCL. `bench.rivals` replaces the names in braces.
vcl 4.1;

backend proxy {
    .host = "127.0.0.1";
    .port = "{backend}";
}

sub vcl_recv {
    if (req.http.X-API-Key != "{key}") {
        return (synth(401));
    }
    return (hash);
}

sub vcl_backend_fetch {
    set bereq.http.X-API-Key = "{key}";
}

sub vcl_backend_response {
    set beresp.ttl = 1h;
    unset beresp.http.Vary;
    return (deliver);  # the default would not cache a response with `Cache-Control: private`
}

sub vcl_deliver {
    set resp.http.X-Request-Id = req.xid;
}
