import cProfile, pstats, time
from tests.unit.conftest import *
def test_prof(stage, upstream):
    stage.create(model="solo")
    pr=cProfile.Profile(); 
    t=time.process_time(); 
    pr.enable()
    for i in range(50): stage.create(f"p{i}", model="solo")
    pr.disable()
    print("create", (time.process_time()-t)/50)
    upstream.instant=True
    t=time.process_time()
    stage.run()
    print("finish", (time.process_time()-t)/51)
    pstats.Stats(pr).sort_stats("cumtime").print_stats(60)
