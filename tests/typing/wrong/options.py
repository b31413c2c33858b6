"""Options that do not exist, or have values that cannot be."""

from __future__ import annotations

from tidegate import App, Depends, Problem, Router


class Gone(Problem, status=410): ...


app = App(titel="T")  # error
app = App(debug="yes")  # error
router = Router("/api", tag=["a"])  # error


@app.get("/a", run="proces")  # error
def a() -> None: ...


@app.get("/b", timeout="1 s")  # error
def b() -> None: ...


@app.get("/c", raises=[Gone()])  # error
def c() -> None: ...


@app.get("/d", raises=[KeyError])  # error
def d() -> None: ...


@app.post("/e", statuscode=201)  # error
def e() -> None: ...


@app.get("/f", heartbeat=5)  # error
def f() -> None: ...


@app.ws("/g", heartbeat="5")  # error
async def g() -> None: ...


@app.get("/h", dependencies=[print])  # error
def h() -> None: ...


@app.resource(scope="session")  # error
def i() -> App:
    return app


@app.error("KeyError")  # error
def j(error: KeyError) -> None: ...


@app.get  # error
def k() -> None: ...


@app.route("/l")  # error
def m() -> None: ...


depends = Depends(print, close="never")  # error
depends = Depends("print")  # error
app.pool("db", thread=4)  # error
app.mount("/old", 5)  # error
